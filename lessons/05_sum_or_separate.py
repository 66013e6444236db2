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
# # 5. The sum, or each on its own?
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
# *You will learn* what separate gradients cost, counted in operations and not in seconds; a third way that the lesson
# does not have; and what compilers and several machines think of a second backward.

# %%
import contextlib

import exercises
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import support
import torch
import torch.distributed

import jax_impl.first_order
import jax_impl.models.many_heads
import torch_impl.first_order
import torch_impl.models.many_heads
from comparisons.layout import to_flax
from comparisons.problems import many_heads
from torch_impl.cost import flops

# %% [markdown]
# ## Predict
# "In 99% of cases it is better to sum the losses", says the lesson. How much better? Take K losses with small heads
# behind a deep trunk. A forward of the trunk costs 1, a backward costs 2.
# **With K = 4: how many times the cost of the summed gradient does it take to get all four gradients, when the graph is
# retained?** Round to a whole number.

# %%
prediction = None


# %%
def torch_flops(strategy, heads, hidden):
    """Operations of one strategy, counted as PyTorch runs it."""
    problem = many_heads(batch=64, width=64, depth=8, losses=heads, hidden=hidden)
    params = {k: torch.tensor(v, dtype=torch.float32, requires_grad=True) for k, v in problem.params.items()}
    batch = {k: torch.tensor(v, dtype=torch.float32) for k, v in problem.batch.items()}
    return flops(getattr(torch_impl.first_order, strategy), torch_impl.models.many_heads.losses(batch), params)


STRATEGIES = ("summed", "per_loss_retained", "per_loss_recomputed", "per_loss_batched", "summed_split")
counts = {name: torch_flops(name, heads=4, hidden=0) for name in STRATEGIES}
for name, count in counts.items():
    print(f"{name:20} {count / counts['summed']:.2f}")
support.compare(prediction, round(counts["per_loss_retained"] / counts["summed"]))

# %% [markdown]
# The summed gradient costs 1 + 2 = 3 visits of the trunk. Four retained backwards cost 1 + 4 * 2 = 9. So the ratio is
# (1 + 2K) / 3, less the part that the heads take. With heavy heads the difference is smaller, since each backward
# visits its own head only. Batched cotangents visit *every* head for every loss.

# %%
HEADS = (1, 2, 4, 8)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
for axis, (title, hidden) in zip(axes, (("linear heads", 0), ("heavy heads", 256)), strict=True):
    totals = [torch_flops("summed", k, hidden) for k in HEADS]
    for name in STRATEGIES[1:4]:
        ratios = [torch_flops(name, k, hidden) / total for k, total in zip(HEADS, totals, strict=True)]
        axis.plot(HEADS, ratios, marker="o", label=name)
        print(f"{title:13} {name:20}", *(f"{ratio:5.2f}" for ratio in ratios))
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("losses")
    axis.set_xticks(HEADS)
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("operations / summed")
axes[0].legend(frameon=False, fontsize=8)
figure.tight_layout()

# %% [markdown]
# ## JAX
# XLA counts what it compiled. One line differs from PyTorch: K fresh forwards *inside one `jit`* cost no more than the
# retained graph, because the compiler finds the K forwards to be the same.


# %%
def jax_flops(gradient, *arguments):
    """Operations of the compiled program."""
    return jax.jit(gradient).lower(*arguments).compile().cost_analysis()["flops"]


problem = many_heads(batch=64, width=64, depth=8, losses=4)
jparams = {k: jnp.asarray(v, jnp.float32) for k, v in to_flax(problem.params, problem.layout).items()}
jbatch = {k: jnp.asarray(v, jnp.float32) for k, v in problem.batch.items()}


def run(name):
    """The strategy as a function of parameters and batch."""
    return lambda p, b: getattr(jax_impl.first_order, name)(jax_impl.models.many_heads.losses(b), p)


jcounts = {name: jax_flops(run(name), jparams, jbatch) for name in STRATEGIES}
for name, count in jcounts.items():
    print(f"{name:20} {count / jcounts['summed']:.2f}")

# %% [markdown]
# So where you sum matters. A sum of four `grad`s goes through the trunk's backward four times; one `grad` of the sum,
# once.

# %%
losses = jax_impl.models.many_heads.losses(jbatch)
inside = lambda p: jax.grad(lambda p: sum(losses(p).values()))(p)  # noqa: E731
outside = lambda p: jax.tree.map(  # noqa: E731
    lambda *g: sum(g), *(jax.grad(lambda p, name=name: losses(p)[name])(p) for name in losses.heads)
)
print(f"sum of grads / grad of the sum: {jax_flops(outside, jparams) / jax_flops(inside, jparams):.2f}")

# %% [markdown]
# ## The third answer
# Summing keeps all the heads' activations at once. If the heads are large, differentiate them one by one at the
# features, add up what arrives there, and go through the trunk once. It costs what the sum costs and holds one head at
# a time. (It gives the summed gradient; `per_loss_split` gives each.)

# %%
support.show(torch_impl.first_order.summed_split, jax_impl.first_order.summed_split)

# %% [markdown]
# ## A compiled graph refuses
# `torch.compile` lets the compiled backward overwrite saved buffers (it *donates* them). Then a retained backward is an
# error, and which calls fail can depend on what ran first. In JAX, put both pulls inside the function that you compile.

# %%
compiled = torch.compile(lambda w: torch.tanh(w).sin().sum(), backend="aot_eager")
w = torch.ones(3, requires_grad=True)
compiled(w).backward()
print(support.raises(compiled(w).backward, retain_graph=True))

# %%
both = jax.jit(lambda w: [jax.vjp(lambda w: jnp.sin(jnp.tanh(w)).sum(), w)[1](c)[0] for c in (1.0, 2.0)])
print(*(f"{g[0]:.4f}" for g in both(jnp.ones(3))))

# %% [markdown]
# ## Several machines
# `DistributedDataParallel` averages gradients over the machines during a backward. It is armed by a *forward*. Here is
# how much of the gradient is sent out to be averaged, on one machine: for two retained backwards of one forward, and
# for one backward of their sum.


# %%
@contextlib.contextmanager
def one_machine():
    """A process group of one, for this block."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def sent_and_held(backward):
    """The sizes of the gradient that went out to be averaged, and of the one that the optimiser will use."""
    sent = []

    def send(state, bucket):
        sent.append(bucket.buffer().sum().item())
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    with one_machine():
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
        model.register_comm_hook(None, send)
        out = model(torch.ones(4, 3))
        backward(out[:, 0].sum(), out[:, 1].sum())
        held = sum(p.grad.sum().item() for p in model.parameters())
    return f"averaged {sum(sent):.0f} of {held:.0f}"


print("two backwards: ", sent_and_held(lambda a, b: (a.backward(retain_graph=True), b.backward())))
print("one of the sum:", sent_and_held(lambda a, b: (a + b).backward()))

# %% [markdown]
# After two backwards the second loss's gradient is in `.grad` and was never averaged. There is no error; the machines
# drift apart. Sum the losses. In JAX, the average is a line that you write: `jax.lax.pmean` of the gradient you mean.
#
# ## Exercise
# A trunk of 8 layers of width 64 and **16** linear heads: how many times the summed gradient's operations do the 16
# retained backwards take? Within 5% is right.

# %%
answer = None
support.check(exercises.ratio_of_sixteen, answer)
