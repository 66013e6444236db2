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
# # 3. Retain, or create?
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
# *You will learn* the difference between keeping a graph and differentiating the backward itself, what JAX does
# instead, and which of the two leaks.

# %%
import gc
import warnings
import weakref

import exercises
import jax
import jax.numpy as jnp
import support
import torch

# %% [markdown]
# ## Two flags, two questions
# `retain_graph=True` keeps what the *forward* saved. The gradient that comes out is a plain tensor.
# `create_graph=True` records the *backward* as well. The gradient that comes out has a graph of its own, so it can be
# differentiated. It implies the first flag, unless you say otherwise.

# %%
v = torch.tensor(2.0, requires_grad=True)
(kept,) = torch.autograd.grad(v**3, v, retain_graph=True)
print("retain_graph:", kept.item(), "|", support.raises(torch.autograd.grad, kept, v))
(recorded,) = torch.autograd.grad(v**3, v, create_graph=True)
print("create_graph:", recorded.item(), "| second derivative", torch.autograd.grad(recorded, v)[0].item())

# %% [markdown]
# ## JAX
# The two questions have two unrelated answers. To use a forward again, call its pullback again. To differentiate a
# gradient, differentiate the function that computes it: `grad` of `grad`.

# %%
cube = lambda v: v**3  # noqa: E731
value, pullback = jax.vjp(cube, 2.0)
print("pullback, twice:", *(float(pullback(1.0)[0]) for _ in range(2)))
print("grad, then grad of grad:", jax.grad(cube)(2.0), jax.grad(jax.grad(cube))(2.0))

# %% [markdown]
# ## A graph of the backward, without the forward's data
# What if you record the backward, and let the forward's data go? Then a second derivative works only if it never has to
# go through a released node. The derivative of `exp` is written with its *result*, which leads back through the
# released `exp`. The derivative of `sin` is written with its *input*: fine, where the input is a leaf.

# %%
FUNCTIONS = {"exp": torch.exp, "tanh": torch.tanh, "pow(3)": lambda v: v.pow(3), "sin": torch.sin}
FUNCTIONS["sin(v * v)"] = lambda v: torch.sin(v * v)
for name, f in FUNCTIONS.items():
    v = torch.tensor(2.0, requires_grad=True)
    (first,) = torch.autograd.grad(f(v), v, create_graph=True, retain_graph=False)
    error = support.raises(torch.autograd.grad, first, v)
    print(f"{name:10}", "second derivative raises" if error else "second derivative works")

# %% [markdown]
# ## Predict
# Ten times, we make a parameter, take its gradient with `create_graph=True`, and drop everything. Then Python's garbage
# collector runs. **How many of the ten parameters are still alive?** One number for `loss.backward`, one for
# `autograd.grad`.

# %%
prediction = None  # (with backward, with autograd.grad)


# %%
def alive(take):
    """How many of ten parameters survive, when nothing of ours points to them any more."""
    references = []
    for _ in range(10):
        v = torch.ones(1000, requires_grad=True)
        take(v.pow(3).sum(), v)
        references.append(weakref.ref(v))
    del v
    gc.collect()
    return sum(reference() is not None for reference in references)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PyTorch warns of what we are about to see
    survivors = (
        alive(lambda loss, v: loss.backward(create_graph=True)),
        alive(lambda loss, v: torch.autograd.grad(loss, v, create_graph=True)),
    )
support.compare(prediction, survivors)

# %% [markdown]
# With `backward`, the gradient is stored in `v.grad`, and its graph points back to `v`: a cycle, and the collector
# cannot see through it. `autograd.grad` returns the gradient, so nobody stores it in the parameter. If you must use
# `backward`, set `v.grad = None` after use.

# %%
print("alive after .grad = None:", alive(lambda loss, v: (loss.backward(create_graph=True), setattr(v, "grad", None))))

# %% [markdown]
# JAX has no such cycle: a gradient is a value, and an array points to nothing.
#
# ## A second derivative that is useful: the gradient penalty
# The penalty is the squared norm of the gradient with respect to the *input*. Its own gradient, with respect to the
# weights, is a second derivative.

# %%
x, w = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3], [0.7]])


def penalty_torch(w, x):
    """Without `create_graph`, the penalty would be a constant."""
    x = x.requires_grad_()
    (into_x,) = torch.autograd.grad(torch.tanh(x @ w).sum(), x, create_graph=True)
    return (into_x**2).sum()


def penalty_jax(w, x):
    """One `grad` inside, one outside."""
    return (jax.grad(lambda x: jnp.tanh(x @ w).sum())(x) ** 2).sum()


leaf = w.clone().requires_grad_()
print("PyTorch", [f"{g:.5f}" for g in torch.autograd.grad(penalty_torch(leaf, x), leaf)[0][:, 0].tolist()])
print("JAX    ", [f"{g:.5f}" for g in jax.grad(penalty_jax)(w.numpy(), x.detach().numpy())[:, 0].tolist()])

# %% [markdown]
# ## Exercise
# Write `hvp(f, w, v)` in PyTorch: the Hessian of `f` at `w` times the vector `v`, by two calls of `autograd.grad` and
# without ever forming the Hessian.

# %%
answer = None  # def answer(f, w, v): ...
support.check(exercises.hessian_times_vector, answer)
