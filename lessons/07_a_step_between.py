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
# # 7. A step between two backwards
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
# *You will learn* why `retain_graph` does not help once the optimiser has stepped, how a GAN shares one forward between
# two players, and where a recurrent network cuts its gradient. JAX raises no error in any of these: it answers at the
# old point, or reaches too far.

# %%
import exercises
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import support
import torch

import jax_impl.training
import torch_impl.training
from comparisons import trajectories
from comparisons.layout import to_flax
from jax_impl.memory import held
from jax_impl.training import recurrent as jax_recurrent

# %% [markdown]
# ## The version counter
# Every tensor counts its in-place changes. A graph remembers the count of what it saved. An optimiser changes the
# parameters in place, so a backward after the step finds another version, and refuses.

# %%
w = torch.tensor([1.0, 2.0], requires_grad=True)
loss = (w**2).sum()
loss.backward(retain_graph=True)
print("version before the step:", w._version)
torch.optim.SGD([w], lr=0.1).step()
print("version after the step: ", w._version)
print(support.raises(loss.backward))

# %% [markdown]
# In JAX nothing is changed in place. A pullback that was made before the update still answers, at the old point.

# %%
w = jnp.array([1.0, 2.0])
value, pullback = jax.vjp(lambda w: (w**2).sum(), w)
w = w - 0.1 * pullback(1.0)[0]
print("the pullback says", pullback(1.0)[0].round(3), "| the gradient at the new w is", (2 * w).round(3))

# %% [markdown]
# ## Predict
# A GAN step: one forward gives the discriminator's loss and the generator's. The code calls backward for the
# discriminator, steps it, then calls backward for the generator. It raises.
# **Which of the two networks has moved when the error arrives?** And does `retain_graph=True` make it work?

# %%
prediction = None  # such as ({"generator"}, True)

# %%
course = trajectories.LOOPS["gan_wrong"](1)
batches = [{k: torch.tensor(v) for k, v in batch.items()} for batch in course.batches]
for loop in (torch_impl.training.gan_wrong, torch_impl.training.gan_wrong_retained):
    start = trajectories.start(course.layout)
    params = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    error = support.raises(loop, params, batches)
    moved = {k.partition(".")[0] for k, p in params.items() if (p.detach().numpy() != start[k]).any()}
    print(f"{loop.__name__:18} moved: {', '.join(moved)} | {error[:110]}")
support.compare(prediction, (moved, error is None))

# %% [markdown]
# The same program in JAX runs. It is wrong in silence: the generator answers the discriminator as it was *before* its
# step. Step for step, it is the loop in which both players move at the same time.

# %%
support.show(jax_impl.training.gan_wrong)
runs = {name: trajectories.in_jax(name) for name in ("gan_wrong", "gan_one_forward", "gan_detached")}
print("wrong = one forward: ", trajectories.drift(runs["gan_wrong"], runs["gan_one_forward"]) < 1e-12)
print("wrong = detached:    ", trajectories.drift(runs["gan_wrong"], runs["gan_detached"]) < 1e-12)

# %% [markdown]
# ## Two right ways
# *Detached*: the discriminator sees the fakes as data, steps, and then judges them again for the generator. *One
# forward*: each player's gradient is asked for by name, and both step at the end. These are two algorithms.

# %%
support.show(torch_impl.training.gan_detached, jax_impl.training.gan_detached)

# %%
support.show(torch_impl.training.gan_one_forward, jax_impl.training.gan_one_forward)

# %%
ours = {name: trajectories.in_torch(name) for name in ("gan_detached", "gan_one_forward")}
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True)
for axis, player in zip(axes, ("discriminator", "generator"), strict=True):
    for name, colour in (("gan_detached", "#4477aa"), ("gan_one_forward", "#ee6677")):
        sides = ours[name].log[player], runs[name].log[player]
        axis.plot(sides[0], color=colour, label=f"{name}, PyTorch")
        axis.plot(sides[1], color="black", linewidth=1, linestyle=":", label=f"{name}, JAX")
        print(f"{player:13} {name:16} last loss: PyTorch {sides[0][-1]:.6f}, JAX {sides[1][-1]:.6f}")
    axis.set_title(f"loss of the {player}", fontsize=9)
    axis.set_xlabel("step")
    axis.spines[["top", "right"]].set_visible(False)
axes[1].legend(frameon=False, fontsize=7)
figure.tight_layout()

# %% [markdown]
# ## A recurrent network
# A long sequence is read in chunks. The state goes from chunk to chunk. If it brings its graph along, the second
# chunk's backward runs into the first chunk, which is gone.

# %%
course = trajectories.LOOPS["truncated_wrong"](2)
batches = [{k: torch.tensor(v) for k, v in batch.items()} for batch in course.batches]
for loop in (torch_impl.training.truncated_wrong, torch_impl.training.truncated_wrong_retained):
    params = {k: torch.tensor(v, requires_grad=True) for k, v in trajectories.start(course.layout).items()}
    error = support.raises(loop, params, batches)
    print(f"{loop.__name__:24} {error[:110]}")

# %% [markdown]
# The cure is one word, `detach`. In JAX there is nothing to detach, as long as each chunk has its own `grad`: the state
# is an argument. Inside one differentiated function, write `stop_gradient`.

# %%
support.show(torch_impl.training.truncated, jax_impl.training.truncated)

# %% [markdown]
# What if you forget the cut in JAX? No error. The gradient reaches back to the first row, and the residuals grow with
# the sequence.

# %%
course = trajectories.LOOPS["truncated_wrong"](8)
stated = to_flax(trajectories.start(course.layout), course.layout)
params = {k: jnp.asarray(v, jnp.float32) for k, v in stated.items()}
batches = [{k: jnp.asarray(v, jnp.float32) for k, v in batch.items()} for batch in course.batches]


def loss(params, chunks, cut):
    """The mean over chunks, with the state cut between them or not."""
    state, values = jax_recurrent.start(params, chunks[0]), []
    for chunk in chunks:
        state = jax.lax.stop_gradient(state) if cut else state
        value, state = jax_recurrent.chunk_loss(params, state, chunk)
        values.append(value)
    return jnp.stack(values).mean()


for count in (1, 2, 4, 8):
    _, pullback = jax.jit(lambda p: jax.vjp(lambda p: loss(p, batches[:count], cut=False), p))(params)
    print(f"chunks in one function: {count}   residuals {held(pullback).bytes:>7,} B")
whole, cut = (jax.jit(jax.grad(lambda p: loss(p, batches, cut)))(params)["state.kernel"] for cut in (False, True))
print(f"norm of the state's gradient: whole {jnp.linalg.norm(whole):.4f}, cut {jnp.linalg.norm(cut):.4f}")

# %% [markdown]
# ## Exercise
# Two players, one forward. Write `both(d_loss, g_loss, d, g)` in PyTorch: it returns the gradient of `d_loss` with
# respect to the tensor `d`, and of `g_loss` with respect to `g`. Both losses come from the same graph. No `.grad` may
# change.

# %%
answer = None
support.check(exercises.two_players, answer)
