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
# # 8. A training loop with several losses
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
# *You will learn* the loop that the original lesson was after: each loss's gradient is logged, then one step is taken.
# And what to do when losses disagree, when the batch is too large, and when you want to look before you step.

# %%
import exercises
import matplotlib.pyplot as plt
import numpy as np
import support
import torch

import jax_impl.aggregation
import jax_impl.training
import torch_impl.aggregation
import torch_impl.training
from comparisons import trajectories

# %% [markdown]
# ## The loop
# Four losses on images of digits: which digit, odd or even, draw it again, small weights. `multi_task` is `surgery`
# with all weights 1. PyTorch retains the graph for all losses but the last; JAX pulls one pullback four times.

# %%
support.show(torch_impl.training.surgery, jax_impl.training.surgery)

# %% [markdown]
# ## Predict
# Both frameworks take 100 steps in float64: the same start, the same batches in the same order, momentum 0.9. Each
# gradient differs in the last digits. **After 100 steps, in which decimal place of a parameter do they first differ?**
# (Relative to the largest of its array; 8 means that they agree to about 1e-8.)

# %%
prediction = None

# %%
ours, theirs = trajectories.in_torch("multi_task"), trajectories.in_jax("multi_task")
drift = trajectories.drift(theirs, ours)
print("they agree to 13 places or more:", drift < 1e-13)
print("you predicted", prediction)

# %% [markdown]
# Small differences stay small here because the loop does not magnify them much. That can be measured: move the start by
# a hundred-millionth, and see how far the end moves. A loop that magnified by a million could not be compared this way.

# %%
nudged = trajectories.in_torch("multi_task", nudge=1e-8)
print("the end moves less than 100 times as far as the start:", trajectories.drift(nudged, ours) < 100e-8)

# %%
NAMES = ("digit", "odd", "pixels", "decay")
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8))
for axis, key, title in zip(axes, ("value", "norm"), ("value of each loss", "norm of each gradient"), strict=True):
    for name, colour in zip(NAMES, ("#4477aa", "#ee6677", "#228833", "#ccbb44"), strict=True):
        axis.plot(ours.log[f"{name}/{key}"], color=colour, label=name)
        axis.plot(theirs.log[f"{name}/{key}"], color="black", linewidth=0.8, linestyle=":")
    axis.set_title(f"{title} (dotted: JAX)", fontsize=9)
    axis.set_xlabel("step")
    axis.spines[["top", "right"]].set_visible(False)
axes[0].legend(frameon=False, fontsize=8)
figure.tight_layout()
for name in NAMES:
    first, last = (ours.log[f"{name}/norm"][k] for k in (0, -1))
    print(f"{name:7} gradient norm {first:.3f} at the first step, {last:.3f} at the last")

# %% [markdown]
# ## When losses disagree
# Two gradients conflict if their inner product is negative: a step along one climbs the other. *Gradient surgery*
# chooses weights from the inner products. `pcgrad` removes each conflict once, `upgrad` until none is left, `mgda`
# takes the shortest combination.

# %%
support.show(torch_impl.aggregation.upgrad, jax_impl.aggregation.upgrad)

# %% [markdown]
# Three losses that conflict in pairs. **Predict: of the three rules, which still climb at least one loss?**

# %%
prediction = None  # a set of names

# %%
gradients = torch.tensor([[-3.0, -3.0, 1.0], [3.0, 0.0, -2.0], [1.0, 3.0, 1.0]], dtype=torch.float64)
gram = gradients @ gradients.T
climbing = set()
for name in ("sum", "pcgrad", "upgrad", "mgda"):
    weights = torch.ones(3, dtype=torch.float64) if name == "sum" else getattr(torch_impl.aggregation, name)(gram)
    along = gram @ weights
    print(f"{name:7} weights {weights.numpy().round(3)}   along each gradient {along.numpy().round(3) + 0.0}")
    if name != "sum" and along.min() < -1e-9:
        climbing.add(name)
support.compare(prediction, climbing)

# %%
for rule in ("pcgrad", "upgrad", "mgda"):
    a = trajectories.in_torch("surgery", aggregate=getattr(torch_impl.aggregation, rule))
    b = trajectories.in_jax("surgery", aggregate=getattr(jax_impl.aggregation, rule))
    losses = ", ".join(f"{name} {np.mean(a.log[f'{name}/value'][-20:]):.3f}" for name in NAMES)
    print(f"{rule:7} last 20 steps: {losses}; JAX the same: {trajectories.drift(b, a) < 1e-11}")

# %% [markdown]
# `mgda` barely moves here: the loss of the weights (`decay`) has a short gradient, and the shortest combination is
# mostly that one. A rule is a choice, and not an improvement by itself.
#
# ## One loss at a time
# `alternating` follows one loss at each step. Here the frameworks' habits differ. PyTorch leaves None in the `.grad` of
# an idle head, and the optimiser skips it. optax is given zeros, and the head's momentum moves it on. To be equal, the
# PyTorch loop must put zeros there.

# %%
support.show(torch_impl.training.alternating)
print("equal:", trajectories.drift(trajectories.in_jax("alternating"), trajectories.in_torch("alternating")) < 1e-13)

# %% [markdown]
# ## A batch in parts, and a look before the step
# To accumulate, let `.grad` add up on purpose, or carry the sum through a scan. To look at a gradient, just look: it is
# there before the step, and nothing has to be retained.

# %%
support.show(torch_impl.training.accumulation, jax_impl.training.accumulation)
whole, parts = trajectories.in_torch("accumulation", parts=1), trajectories.in_torch("accumulation", parts=4)
print("four parts give the whole batch's 100 steps:", trajectories.drift(parts, whole) < 1e-13)

# %%
support.show(torch_impl.training.inspected, jax_impl.training.inspected)
seen = trajectories.in_torch("inspected").log["norm"]
print(
    f"norms seen before the step: first {seen[0]:.3f}, largest {seen.max():.3f}; {(seen > 1).sum()} were shortened to 1"
)

# %% [markdown]
# ## Exercise
# The loop below is meant to give the batch's gradient in parts. It is wrong twice. Write `accumulate(loss, w, parts)`
# so that `w.grad` is the gradient of the mean over all examples, whatever the parts' sizes and whatever `w.grad` was.
# ```python
# def accumulate(loss, w, parts):   # loss(w, part) is the mean over the examples of the part
#     for part in parts:
#         loss(w, part).backward()
# ```

# %%
answer = None
support.check(exercises.accumulates, answer)
