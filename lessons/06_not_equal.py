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
# # 6. Where the strategies are not equal
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
# *You will learn* three places where "every strategy gives the same gradient" is false: an infinity in another loss,
# statistics that a recomputed forward updates again, and noise that a recomputed forward draws again.

# %%
import exercises
import jax
import jax.numpy as jnp
import numpy as np
import support
import torch
from torch.utils.checkpoint import checkpoint

import jax_impl.first_order
import jax_impl.models.losses
import torch_impl.first_order
import torch_impl.models.losses

# %% [markdown]
# ## Predict
# Two losses of `w = [0, 1]`: `a = (3 w).sum()` and `b = sqrt(w).sum()`. The gradient of `a` is [3, 3]. The gradient of
# `b` is [inf, 0.5]. Every strategy below is asked for both. **Which of them give a NaN in the gradient of `a`?**

# %%
prediction = None  # a set of names, such as {"per_loss_split"}

# %%
STRATEGIES = (
    "per_loss_retained",
    "per_loss_recomputed",
    "per_loss_one_hot",
    "per_loss_batched",
    "per_loss_chunked",
    "per_loss_split",
    "per_loss_functional",
)
tlosses = torch_impl.models.losses.Losses(
    trunk=lambda p: p["w"], heads={"a": lambda p, z: (3 * z).sum(), "b": lambda p, z: z.sqrt().sum()}
)
jlosses = jax_impl.models.losses.Losses(
    trunk=lambda p: p["w"], heads={"a": lambda p, z: (3 * z).sum(), "b": lambda p, z: jnp.sqrt(z).sum()}
)
poisoned = {"PyTorch": set(), "JAX": set()}
for name in STRATEGIES:
    w = torch.tensor([0.0, 1.0], requires_grad=True)
    of_a = {
        "PyTorch": getattr(torch_impl.first_order, name)(tlosses, {"w": w})["a"]["w"].tolist(),
        "JAX": getattr(jax_impl.first_order, name)(jlosses, {"w": jnp.array([0.0, 1.0])})["a"]["w"].tolist(),
    }
    print(f"{name:20}", *(f"{side} {grad}".ljust(20) for side, grad in of_a.items()))
    for side, grad in of_a.items():
        if np.isnan(grad).any():
            poisoned[side].add(name)
support.compare(prediction, poisoned["PyTorch"])
print("the same ones in JAX:", poisoned["JAX"] == poisoned["PyTorch"])

# %% [markdown]
# A one-hot cotangent multiplies the other loss's gradient by zero. Zero times infinity is NaN. So one loss's infinity
# poisons every loss, silently. The strategies that visit only the loss's own head are safe: a retained backward, a
# fresh forward, and the split at the features.
#
# The Jacobian functions of both frameworks are among the poisoned ones (`per_loss_functional` is
# `torch.func.jacrev` and `jax.jacrev`).

# %%
support.show(torch_impl.first_order.per_loss_split, jax_impl.first_order.per_loss_split)

# %% [markdown]
# ## Predict: running statistics
# BatchNorm updates its running mean in every training *forward*. We take the gradients of four losses behind one
# BatchNorm layer. **How many updates does one step make**, if the graph is retained, if there is a forward for each
# loss, if the layer is checkpointed and the losses are summed, and if it is checkpointed and there are four backwards?

# %%
prediction = None  # four numbers, in this order


# %%
def updates(way):
    """How often the running mean moved."""
    norm = torch.nn.BatchNorm1d(3)
    x = torch.arange(12.0).reshape(4, 3).requires_grad_()
    heads = [lambda z, k=k: (z**k).sum() for k in range(1, 5)]
    if way == "retained":
        z = norm(x)
        [torch.autograd.grad(head(z), x, retain_graph=True) for head in heads]
    if way == "four forwards":
        [torch.autograd.grad(head(norm(x)), x) for head in heads]
    if way == "checkpoint, sum":
        z = checkpoint(norm, x, use_reentrant=False)
        torch.autograd.grad(sum(head(z) for head in heads), x)
    if way == "checkpoint, four backwards":
        z = checkpoint(norm, x, use_reentrant=False)
        [torch.autograd.grad(head(z), x, retain_graph=True) for head in heads]
    return norm.num_batches_tracked.item()


measured = {way: updates(way) for way in ("retained", "four forwards", "checkpoint, sum", "checkpoint, four backwards")}
print(measured)
support.compare(prediction, tuple(measured.values()))

# %% [markdown]
# The gradients are all the same. The *model* is not: its running mean moved once, or five times.
#
# ## JAX
# State is a value that goes in and comes out. A recomputed forward computes the new state again and throws it away: you
# return it once, so it is updated once.


# %%
def batch_norm(mean, x):
    """Normalised features, and the next running mean."""
    now = x.mean(0)
    return (x - now) / jnp.sqrt(x.var(0) + 1e-5), 0.9 * mean + 0.1 * now


x = jnp.arange(12.0).reshape(4, 3)
z, pullback, mean = jax.vjp(lambda x: jax.checkpoint(batch_norm)(jnp.zeros(3), x), x, has_aux=True)
for _ in range(4):
    pullback(z)
print("running mean after four pulls:", mean.tolist(), "= 0.1 x", x.mean(0).tolist())

# %% [markdown]
# ## Noise drawn again
# Dropout draws a mask in forward. A recomputed forward must draw the *same* mask. PyTorch's checkpoint saves and
# restores the generator's state for this. Without it, the gradient belongs to another function. In JAX the key is an
# argument, so the same key gives the same mask.

# %%
x = torch.ones(1000, requires_grad=True)
for preserve in (True, False):
    torch.manual_seed(0)
    z = checkpoint(lambda x: torch.dropout(x, 0.5, True).pow(2), x, use_reentrant=False, preserve_rng_state=preserve)
    (gradient,) = torch.autograd.grad(z.sum(), x)
    print(f"PyTorch, state kept {preserve!s:5}: entries of the wrong mask {((z > 0) != (gradient > 0)).sum().item()}")


# %%
def dropout(x, key):
    """Half of the entries, doubled, squared."""
    return jnp.where(jax.random.bernoulli(key, 0.5, x.shape), 2 * x, 0) ** 2


z, pullback = jax.vjp(lambda x: jax.checkpoint(dropout)(x, jax.random.key(0)), jnp.ones(1000))
(gradient,) = pullback(jnp.ones(1000))
print("JAX, key passed: entries of the wrong mask", int(((z > 0) != (gradient > 0)).sum()))

# %% [markdown]
# The whole grid, with what is predicted for each cell and why, is `python -m comparisons pitfalls`.
#
# ## Exercise
# Repair the loss, not the strategy. Write `safe_sqrt(w)` in PyTorch: `sqrt(w)` where `w > 0`, and 0 elsewhere, with a
# gradient of 0 at `w = 0`, so that no strategy gives a NaN. One `torch.where` is not enough. Why?

# %%
answer = None
support.check(exercises.safe_square_root, answer)
