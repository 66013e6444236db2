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
# # 4. What is held, and until when
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
# *You will learn* what the memory test of the lesson really shows, what `retain_graph` costs, and why a loss that you
# keep in a list keeps a graph.

# %%
import exercises
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import support
import torch

import jax_impl.memory
import jax_impl.models.many_heads
import torch_impl.memory
import torch_impl.models.many_heads
from comparisons.layout import to_flax
from comparisons.problems import many_heads

# %% [markdown]
# ## The memory test
# The lesson makes a tensor of 1000 x 1000 numbers (4,000,000 bytes), multiplies it by 2, and calls backward with
# `retain_graph=True`. It says that the graph, with the huge tensor in it, still hangs in memory.
#
# **Predict: how many bytes does the graph hold after that backward?** And with `huge.exp()` in place of `huge * 2`?

# %%
prediction = None  # (for huge * 2, for huge.exp())

# %%
huge = torch.ones(1000, 1000, requires_grad=True)
retained = {}
for name, f in {"huge * 2": lambda h: h * 2, "huge.exp()": torch.exp}.items():
    with torch_impl.memory.held(huge) as ledger:
        loss = f(huge).sum()
    forward = ledger.bytes
    loss.backward(retain_graph=True)
    retained[name] = ledger.bytes
    loss.backward()
    print(
        f"{name:11} forward {forward:>9,}   retained backward {retained[name]:>9,}   last backward {ledger.bytes:>3,}"
    )
support.compare(prediction, tuple(retained.values()))

# %% [markdown]
# `huge * 2` needs only the number 2 for its backward. The graph holds nothing; `huge` lives because the variable
# `huge` points to it. "Memory freed", at the end of the lesson's test, is printed whatever happens.
#
# With `exp` the graph does hold something: its result. Retaining stores nothing new. It stops the usual shrinking.
#
# ## JAX
# A pullback's residuals can be counted in the same way. The rules are JAX's own: `tanh`, for example, keeps two arrays
# (one from JAX 0.11.2 on).

# %%
jhuge = jnp.ones((1000, 1000))
for name, f in {"huge * 2": lambda h: h * 2, "exp": jnp.exp, "tanh": jnp.tanh}.items():
    _, pullback = jax.jit(lambda h: jax.vjp(lambda h: f(h).sum(), h))(jhuge)
    print(f"{name:9} residuals {jax_impl.memory.held(pullback).bytes:>9,}")

# %% [markdown]
# ## Predict: what is left after the last backward
# Four tanh layers of width 512, a batch of 256, four linear heads with one loss each. Every loss is differentiated on
# its own: the first three with `retain_graph=True`, the last without. The graph holds 2,101,248 bytes after forward.
# **How many after the fourth backward, while the four losses are still alive?**

# %%
prediction = None

# %%
stated = many_heads(batch=256, width=512, depth=4, losses=4)
params = {k: torch.tensor(v, dtype=torch.float32, requires_grad=True) for k, v in stated.params.items()}
batch = {k: torch.tensor(v, dtype=torch.float32) for k, v in stated.batch.items()}
with torch_impl.memory.held(params, batch) as ledger:
    values = torch_impl.models.many_heads.losses(batch)(params)
print(f"after forward   {ledger.bytes:>9,}")
for name, value in values.items():
    value.backward(retain_graph=name != "loss3")
    print(f"after {name}     {ledger.bytes:>9,}")
support.compare(prediction, ledger.bytes)
values.clear()
print(f"losses dropped  {ledger.bytes:>9,}")

# %% [markdown]
# The last backward frees only the nodes that it *visits*: the trunk and its own head. The three other heads keep their
# private data, and the features that they all read, until their losses die. So a list of losses is a list of graphs.
# Keep `loss.item()`.

# %%
jparams = {k: jnp.asarray(v, jnp.float32) for k, v in to_flax(stated.params, stated.layout).items()}
jbatch = {k: jnp.asarray(v, jnp.float32) for k, v in stated.batch.items()}
_, pullback = jax.jit(lambda p, b: jax.vjp(jax_impl.models.many_heads.losses(b), p))(jparams, jbatch)
print(f"JAX's residuals {jax_impl.memory.held(pullback).bytes:,}, of which the batch {jbatch['x'].nbytes:,}")
kept = jax.tree.leaves(pullback.opaque_residuals)
before = len(jax.live_arrays())
del pullback, kept
print("arrays that die with the pullback:", before - len(jax.live_arrays()))

# %% [markdown]
# JAX holds about twice as much here, because of `tanh`. This is a pullback that *escapes*; inside one compiled
# function, XLA plans the memory itself. And there is no last backward that frees: the residuals live exactly as long
# as the pullback.
#
# ## The picture
# A trunk and two heads, A and B, and three ways to take their gradients. Each bar is what the graph holds.

# %%
PHASES = ("after forward", "after A", "after B", "losses dropped")
SCHEDULES = {
    "A retained, then B": (True, False),
    "A, then B": (False, False),
    "both retained": (True, True),
}


def lifetime(flags):
    """Bytes of the trunk, of A and of B at each phase; a shared storage counts for the first of them."""
    problem = many_heads(batch=256, width=512, depth=2, losses=2, hidden=512)
    params = {k: torch.tensor(v, dtype=torch.float32, requires_grad=True) for k, v in problem.params.items()}
    batch = {k: torch.tensor(v, dtype=torch.float32) for k, v in problem.batch.items()}
    losses = torch_impl.models.many_heads.losses(batch)
    with torch_impl.memory.held(params, batch) as trunk:
        z = losses.trunk(params)
    parts, values = [trunk], []
    for head in losses.heads.values():
        with torch_impl.memory.held(params, batch) as part:
            values.append(head(params, z))
        parts.append(part)
    del z

    def measure():
        seen, sizes = set(), []
        for part in parts:
            storages = {s.storage: s.bytes for s in part.saved() if s.kind == "activation"}
            sizes.append(sum(size for key, size in storages.items() if key not in seen))
            seen |= storages.keys()
        return sizes

    rows = [measure()]
    for value, flag in zip(values, flags, strict=True):
        support.raises(value.backward, retain_graph=flag)
        rows.append(measure())
    del value
    values.clear()
    return [*rows, measure()]


strips = {name: lifetime(flags) for name, flags in SCHEDULES.items()}
for name, rows in strips.items():
    print(f"{name:20}", *(f"{phase} {sum(row):>9,}" for phase, row in zip(PHASES, rows, strict=True)), sep="   ")

# %%
figure, axes = plt.subplots(1, len(strips), figsize=(9, 2.6), sharey=True)
for axis, (name, rows) in zip(axes, strips.items(), strict=True):
    bottom = [0.0] * len(PHASES)
    for part, (label, colour) in enumerate((("trunk", "#4477aa"), ("head A", "#ee6677"), ("head B", "#ccbb44"))):
        heights = [row[part] / 1e6 for row in rows]
        axis.bar(PHASES, heights, bottom=bottom, label=label, color=colour, width=0.6)
        bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
    axis.set_title(name, fontsize=9)
    axis.tick_params(axis="x", rotation=40, labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("MB held")
axes[1].legend(frameon=False, fontsize=8)
figure.tight_layout()

# %% [markdown]
# *A, then B* fails at B: A's backward has freed the trunk. What B had saved for itself is freed on the way to the
# error. What is left of A after B is its own data and the features, which belong to the trunk while that is alive.
#
# ## Exercise
# `many_heads(batch=64, width=32, depth=3, losses=5)` in float32, linear heads, each loss differentiated on its own and
# all but the last retained. How many bytes does the graph hold after the last backward, while all losses are alive?

# %%
answer = None
support.check(exercises.bytes_left, answer)
