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
# # 2. Two losses
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
# *You will learn* when two losses really share something, why `.grad` is a bad place to look at one loss's gradient,
# and how to get one gradient for each loss.

# %%
import exercises
import jax
import jax.numpy as jnp
import numpy as np
import support
import torch

import jax_impl.first_order
import jax_impl.models.lesson
import torch_impl.first_order
import torch_impl.models.lesson
from comparisons.problems import problem

# %% [markdown]
# ## The lesson's two losses
# One linear layer, `y = x @ w`. The loss `main` wants `y` to be 1; the loss `reg` wants small weights. The lesson says
# that both hang on the same graph, so the first backward must keep it: `retain_graph=True`.

# %%
support.show(torch_impl.models.lesson.losses, jax_impl.models.lesson.losses)

# %%
lesson = problem("lesson")
batch = {"x": torch.tensor(lesson.batch["x"], dtype=torch.float32)}


def fresh():
    """The weights, as a new leaf."""
    return {"w": torch.tensor(lesson.params["w"], dtype=torch.float32, requires_grad=True)}


def nodes(node):
    """Every node of the graph below this one."""
    return {node}.union(*(nodes(below) for below, _ in node.next_functions if below is not None))


params = fresh()
values = torch_impl.models.lesson.losses(batch)(params)
shared = nodes(values["main"].grad_fn) & nodes(values["reg"].grad_fn)
print("shared nodes:", [node.name() for node in shared])

# %% [markdown]
# They share one node: the leaf `w` itself, which saves nothing. So nothing has to be retained, in either order.

# %%
for order in (("main", "reg"), ("reg", "main")):
    params = fresh()
    values = torch_impl.models.lesson.losses(batch)(params)
    print(" then ".join(order), "->", support.raises(lambda: [values[name].backward() for name in order]) or "no error")

# %% [markdown]
# A second loss that reads `y` *does* share the matrix product:

# %%
params = fresh()
y = batch["x"] @ params["w"]
main, size = ((y - 1) ** 2).sum(), y.abs().sum()
main.backward()
print(support.raises(size.backward))

# %% [markdown]
# ## Predict
# The lesson wants to *log the gradient of each loss*. It does so by printing `w.grad` after each backward. Suppose that
# we keep the first gradient, `kept = w.grad`, and then call backward for the second loss.
# **How many of the 10 entries of `kept` change?**

# %%
prediction = None

# %%
params = fresh()
values = torch_impl.models.lesson.losses(batch)(params)
values["main"].backward()
kept = params["w"].grad
before = kept.clone()
values["reg"].backward()
support.compare(prediction, int((kept != before).sum()))
print("kept is w.grad:", kept is params["w"].grad)

# %% [markdown]
# `backward` adds into `.grad` in place. Even the gradient that you put aside has become the sum. The log of the second
# loss was the sum from the start.
#
# ## One gradient for each loss
# `autograd.grad` returns the gradient and leaves `.grad` alone. In JAX a gradient is always a value.

# %%
support.show(torch_impl.first_order.per_loss_retained, jax_impl.first_order.per_loss_retained)

# %%
params = fresh()
grads = torch_impl.first_order.per_loss_retained(torch_impl.models.lesson.losses(batch), params)
for name, grad in grads.items():
    print(f"{name:5}", [f"{g:.4f}" for g in grad["w"][:4, 0].tolist()])
print("w.grad:", params["w"].grad)

# %%
jparams = {"w": jnp.asarray(lesson.params["w"], jnp.float32)}
jbatch = {"x": jnp.asarray(lesson.batch["x"], jnp.float32)}
jgrads = jax.jit(lambda p, b: jax_impl.first_order.per_loss_retained(jax_impl.models.lesson.losses(b), p))(
    jparams, jbatch
)
for name, grad in jgrads.items():
    print(f"{name:5}", [f"{g:.4f}" for g in grad["w"][:4, 0].tolist()])

# %% [markdown]
# ## Sum, or two backwards?
# The two gradients add up to the gradient of the sum, up to rounding. In float32 that is about 1e-7 of the largest
# entry, not zero.

# %%
summed = torch_impl.first_order.summed(torch_impl.models.lesson.losses(batch), fresh())["total"]["w"]
added = grads["main"]["w"] + grads["reg"]["w"]
jsummed = jax_impl.first_order.summed(jax_impl.models.lesson.losses(jbatch), jparams)["total"]["w"]
scale = summed.abs().max()
print("PyTorch, sum against two: below 1e-6 of the largest entry:", bool((summed - added).abs().max() < 1e-6 * scale))
print("JAX's sum against PyTorch's: the same:", bool(np.abs(jsummed - summed.numpy()).max() < 1e-6 * scale))

# %% [markdown]
# ## Exercise
# Write `per_loss(values, w)` in PyTorch. `values` is a dict of losses that share a graph; return a dict with one
# gradient for each, and leave `w.grad` as it was.

# %%
answer = None  # def answer(values, w): ...
support.check(exercises.one_gradient_each, answer)
