"""Checks: between one backward and the next, and what is left alive."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jax_impl.pitfalls.graph
import jax_impl.pitfalls.higher
import torch_impl.pitfalls.graph
import torch_impl.pitfalls.higher
from comparisons.facts import Fact
from comparisons.pitfalls.found import Found
from comparisons.watch import NOTHING, numbers, raised, residual_bytes, same, saved, warned

ours, theirs = torch_impl.pitfalls.graph, jax_impl.pitfalls.graph


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def second_backward() -> Found:
    x, w = torch.ones(1, 3), torch.ones(3, 1, requires_grad=True)
    error = raised(lambda: ours.second_backward(w, x))
    first = w.grad.clone()
    a, b = leaf(1.0), leaf(1.0)
    loss = a.exp().sum() + b.sum()
    loss.backward()
    halfway = raised(loss.backward)
    fixed = torch.ones(3, 1, requires_grad=True)
    ours.second_backward_fixed(fixed, x)
    pulls = theirs.second_backward(jnp.ones((3, 1)), jnp.ones((1, 3)))
    return Found(
        error,
        [
            Fact("w.grad keeps the first gradient", same(first, x.T), numbers(first)),
            Fact(
                "in another graph the failed backward has changed .grad before it raises",
                bool(halfway.kind) and same(b.grad, [2.0]) and same(a.grad, a.exp()),
                f"a.exp().sum() + b.sum(): b.grad is {numbers(b.grad)}, {halfway.at} raises",
            ),
        ],
        [Fact("both run, and w.grad is twice the gradient", same(fixed.grad, 2 * x.T), numbers(fixed.grad))],
        [Fact("absent: the pullback answers twice", same(*pulls, 0) and same(pulls[0], x.T), numbers(pulls[1]))],
    )


def start():
    rng = np.random.default_rng(2)
    return [rng.standard_normal(shape) for shape in ((3, 3), (3, 1), (2, 3))]


def in_place_step() -> Found:
    def run(function):
        v, w, x = (torch.tensor(a) for a in start())
        for p in (v, w):
            p.requires_grad_()
        error = raised(lambda: function(v, w, x, torch.optim.SGD([v, w], 0.1)))
        return error, v, w

    v0, w0, x = start()
    h = np.tanh(x @ v0)
    ones, y = np.ones((2, 1)), h @ w0
    first_w = h.T @ ones
    error, _, w = run(ours.in_place_step)
    none, _, fixed = run(ours.in_place_step_fixed)
    with jax.enable_x64(True):
        _, stale = theirs.in_place_step(jnp.asarray(v0), jnp.asarray(w0), jnp.asarray(x), 0.1)
    return Found(
        error,
        [
            Fact("the step has been taken", same(w, w0 - 0.1 * first_w), "w has moved by the first loss's gradient"),
            Fact("w.grad is the first loss's alone", same(w.grad, first_w), numbers(w.grad)),
        ],
        [
            Fact(
                "both losses' gradients, then the step",
                not none.kind and same(fixed.grad, first_w + 2 * h.T @ y),
                "w.grad is their sum",
            )
        ],
        [Fact("no error: the second pull answers at the old point", same(stale, 2 * h.T @ y), "see stale_pullback")],
    )


def stale_pullback() -> Found:
    v0, w0, x = start()
    h = np.tanh(x @ v0)
    through = np.ones((2, 1)) @ w0.T * (1 - h**2)
    v1, w1 = v0 - 0.1 * x.T @ through, w0 - 0.1 * h.T @ np.ones((2, 1))
    moved = np.tanh(x @ v1)
    old, new = 2 * h.T @ (h @ w0), 2 * moved.T @ (moved @ w1)
    with jax.enable_x64(True):
        arguments = (jnp.asarray(v0), jnp.asarray(w0), jnp.asarray(x))
        _, stale = theirs.in_place_step(*arguments, 0.1)
        _, fixed = theirs.in_place_step_fixed(*arguments, 0.1)
    v, w, x = (torch.tensor(a, requires_grad=True) for a in start())
    error = raised(lambda: ours.in_place_step(v, w, x, torch.optim.SGD([v, w], 0.1)))
    return Found(
        NOTHING,
        [
            Fact(
                "the gradient is that of the point before the step",
                same(stale, old) and not same(stale, new, 1e-2),
                f"{numbers(stale)}; at the new point {numbers(new)}",
            )
        ],
        [Fact("a fresh vjp gives the gradient at the new point", same(fixed, new), numbers(fixed))],
        [Fact("PyTorch notices by a version counter, and raises", bool(error.kind), f"in {error.at}")],
    )


def undetached_state() -> Found:
    inputs = [torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([1.0, 0.25], dtype=torch.float64)]
    w, fixed = leaf(1.0, 2.0), leaf(1.0, 2.0)
    error = raised(lambda: ours.undetached_state(w, inputs))
    ours.undetached_state_fixed(fixed, inputs)
    h = torch.tanh(w.detach() + inputs[0])
    first, second = 1 - h**2, (1 - torch.tanh(w.detach() * h + inputs[1]) ** 2) * h
    with jax.enable_x64(True):
        total = theirs.undetached_state(jnp.array([1.0, 2.0]), [jnp.asarray(x.numpy()) for x in inputs])
    return Found(
        error,
        [Fact("w.grad is the first step's alone", same(w.grad, first), numbers(w.grad))],
        [Fact("the sum of each step's own gradient", same(fixed.grad, first + second), numbers(fixed.grad))],
        [Fact("absent: the state is an argument and a result", same(total, first + second), numbers(total))],
    )


def kept_losses() -> Found:
    inputs = [torch.full((64,), k / 4) for k in range(5)]
    w = torch.ones(64, requires_grad=True)
    held = []
    for function in (ours.kept_losses, ours.kept_losses_fixed):
        with saved(w, *inputs) as watch:
            kept = function(w, inputs)
        gc.collect()
        held.append((watch.bytes, len(kept)))
    losses, pullbacks = theirs.kept_losses(jnp.ones(64), [jnp.asarray(x.numpy()) for x in inputs])
    residual = sum(map(residual_bytes, pullbacks))
    numbers_only = sum(loss.nbytes for loss in losses)
    return Found(
        NOTHING,
        [Fact("5 losses keep 5 graphs", held[0][0] == 5 * w.nbytes, f"{held[0][0]} B saved for {held[0][1]} losses")],
        [Fact("nothing is held", held[1][0] == 0, f"{held[1][0]} B saved for {held[1][1]} losses")],
        [
            Fact(
                "kept losses are numbers; kept pullbacks hold residuals",
                numbers_only == 20 and residual >= held[0][0],
                f"5 losses {numbers_only} B, 5 pullbacks {residual} B",
            )
        ],
    )


def create_graph_cycle() -> Found:
    def survives(function) -> tuple[bool, torch.Tensor, list[str]]:
        w = leaf(1.0, 2.0)
        with warned() as caught:
            second = function(w).detach()
        alive, told = weakref.ref(w), [str(w.message) for w in caught]
        del w
        gc.collect()
        left = alive()
        if left is not None:
            left.grad = None
        return left is not None, second, told

    gc.collect()
    leaks, _, told = survives(torch_impl.pitfalls.higher.create_graph_cycle)
    stays, second, silence = survives(torch_impl.pitfalls.higher.create_graph_cycle_fixed)
    nested = jax_impl.pitfalls.higher.create_graph_cycle(jnp.array([1.0, 2.0]))
    return Found(
        NOTHING,
        [
            Fact("w outlives its last reference and the garbage collector", leaks, "alive after `del w; gc.collect()`"),
            Fact("PyTorch warns", any("reference cycle" in text for text in told), "; ".join(told)[:72] + "..."),
        ],
        [
            Fact(
                "w dies with its last reference, and nothing warns",
                not stays and not silence and same(second, [6.0, 12.0]),
                f"second derivative {numbers(second)}",
            )
        ],
        [Fact("absent: grad of grad is a value", same(nested, [6.0, 12.0]), numbers(nested))],
    )
