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
# # 1. The second backward
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
# *You will learn* what PyTorch throws away after `backward`, why some losses can be differentiated twice all the same,
# and what takes the place of `retain_graph` in JAX.

# %%
import exercises
import jax
import jax.numpy as jnp
import numpy as np
import support
import torch

from torch_impl.memory import held

# %% [markdown]
# ## The error, and where it comes from
# One matrix product, one sum. The same loss is differentiated twice.

# %%
rng = np.random.default_rng(0)
x, w = rng.standard_normal((1, 10)).astype("float32"), rng.standard_normal((10, 1)).astype("float32")

tx, tw = torch.tensor(x), torch.tensor(w, requires_grad=True)
y = tx @ tw
loss = y.sum()
loss.backward()
print("first ", tw.grad[:3, 0].tolist())
print("second", support.raises(loss.backward))

# %% [markdown]
# The graph did not disappear. Its nodes are still there, and so are the links between them. What is gone is the data
# that the matrix product saved in forward. The sum saved nothing, so the second backward gets past it and stops one
# node later.

# %%
total, product = loss.grad_fn, loss.grad_fn.next_functions[0][0]
leaf = product.next_functions[1][0]
print("still linked:", total.name(), "->", product.name(), "->", leaf.name())
finished = []
total.register_hook(lambda *_: finished.append(total.name()))
product.register_hook(lambda *_: finished.append(product.name()))
leaf.register_hook(lambda *_: finished.append(leaf.name()))
support.raises(loss.backward)
print("finished before the error:", finished)

# %% [markdown]
# ## Predict
# Here are ten small losses of the same `v`. Each one is differentiated twice, without `retain_graph`.
# **How many of the ten pass the second backward?** Write your number before you run the cell after.

# %%
prediction = None

# %%
LOSSES = {
    "v.sum()": lambda v: v.sum(),
    "(v + 1).sum()": lambda v: (v + 1).sum(),
    "(v * 2).sum()": lambda v: (v * 2).sum(),
    "(-v).sum()": lambda v: (-v).sum(),
    "v.mean()": lambda v: v.mean(),
    "v.exp().sum()": lambda v: v.exp().sum(),
    "v.pow(2).sum()": lambda v: v.pow(2).sum(),
    "v.view(2, 2).sum()": lambda v: v.view(2, 2).sum(),
    "torch.cat([v, v]).sum()": lambda v: torch.cat([v, v]).sum(),
    "v.relu().sum()": lambda v: v.relu().sum(),
}
passing = 0
for name, f in LOSSES.items():
    v = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    with held(()) as ledger:
        value = f(v)
    saved = ledger.bytes
    value.backward()
    error = support.raises(value.backward)
    passing += error is None
    print(f"{name:25} tensors saved: {saved:2} B   second backward: {'raises' if error else 'passes'}")
support.compare(prediction, passing)

# %% [markdown]
# A node that saves no tensor has nothing to lose. That is why backward twice may work on a toy and fail on a model.
# One line is a surprise: `v * 2` saves no tensor, and still raises. The number 2 is saved too, and it is released like
# the rest. So "does it save a tensor?" is a good guess, and not the rule. `python -m comparisons pitfalls` has the
# table of all operations.
#
# ## JAX
# JAX has no hidden graph. `jax.vjp` returns the loss and a *pullback*: a function from the loss's cotangent to the
# gradient. It owns the saved data (the *residuals*). It can be called as often as you like.

# %%
value, pullback = jax.vjp(lambda w: (x @ w).sum(), jnp.asarray(w))
for call in ("first ", "second", "third "):
    (gradient,) = pullback(jnp.ones_like(value))
    print(call, gradient[:3, 0].tolist())
print("same as PyTorch:", np.array_equal(gradient, tw.grad))

# %% [markdown]
# To call it twice is PyTorch's `retain_graph=True`. To let go of it, `del pullback`, is PyTorch's last backward. The
# pullback is also a value: it can be passed to a compiled function.

# %%
pull = jax.jit(lambda pullback, cotangent: pullback(cotangent))
print(pull(pullback, jnp.ones_like(value))[0][:3, 0].tolist())

# %% [markdown]
# ## Exercise
# Write a loss of `v` that uses `v` **twice** and still passes a second backward in PyTorch. Its gradient must be 5 at
# every entry.

# %%
answer = None  # answer = lambda v: ...
support.check(exercises.passes_twice, answer)
