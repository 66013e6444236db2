# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Port a small transformer, and find the bug by the message
#
# *To run this notebook.* In a clone of the repository, run `make lessons` once and open the file in Jupyter with the
# kernel of `.venv`. In Colab, there is no fixed address to install from: put the address of your copy of the
# repository in place of ADDRESS, and run these lines in a cell of their own first.
# ```
# !git clone --quiet ADDRESS gradparity
# %pip install --quiet ./gradparity
# %cd gradparity/lessons
# ```
#
# A pre-norm block in `torch.nn`, and its port to `flax.nnx`. The port has one bug, of the kind that no shape and no
# training curve shows.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from flax import nnx
from torch import nn

from gradparity import assert_losses_match, port


# %%
class TorchBlock(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.down(F.gelu(self.up(self.norm2(x))))


# %% [markdown]
# Flax's attention takes its softmax in float32. To be compared in float64 it needs one that does not.


# %%
def attend(query, key, value, **_):
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value)


class FlaxBlock(nnx.Module):
    def __init__(self, rngs, width=8, gelu=jax.nn.gelu, epsilon=1e-6):
        self.norm1 = nnx.LayerNorm(width, epsilon=epsilon, rngs=rngs)
        self.norm2 = nnx.LayerNorm(width, epsilon=epsilon, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, width, attention_fn=attend, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)
        self.gelu = gelu

    def __call__(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(self.gelu(self.up(self.norm2(x))))


# %% [markdown]
# `port` joins the layers by their types, copies the weights over, and compares settings. It names the first mistake
# before anything runs: the epsilon of both norms.

# %%
torch.manual_seed(0)
theirs = TorchBlock()
try:
    port(theirs, FlaxBlock(nnx.Rngs(0)))
except ValueError as error:
    print(error)

# %% [markdown]
# With the epsilon set, the layers agree. What is called between them, no layer type can tell: the gradients can.
# What follows, the losses, takes the module and the batch, on each side in its own idiom.

# %%
batch = {"x": np.random.default_rng(0).standard_normal((2, 5, 8))}


def torch_losses(block, batch):
    y = block(batch["x"])
    return {"power": (y**2).mean(), "last": torch.tanh(y[:, -1]).sum()}


def jax_losses(block, batch):
    y = block(batch["x"])
    return {"power": (y**2).mean(), "last": jnp.tanh(y[:, -1]).sum()}


ported = port(theirs, FlaxBlock(nnx.Rngs(0), epsilon=1e-5))
try:
    assert_losses_match(torch_losses, jax_losses, ported, batch=batch, float32=False)
except AssertionError as error:
    print(error)

# %% [markdown]
# The values differ, and each side differentiates its own losses rightly: no gradient is cut, the two functions differ.
# Every parameter is affected, by a few parts in ten thousand: an activation. `jax.nn.gelu` is the tanh form by default.

# %%
ported = port(theirs, FlaxBlock(nnx.Rngs(0), epsilon=1e-5, gelu=partial(jax.nn.gelu, approximate=False)))
found = assert_losses_match(torch_losses, jax_losses, ported, batch=batch, float32=False)
print(f"{len(found.gradients.pairs)} gradients agree")
