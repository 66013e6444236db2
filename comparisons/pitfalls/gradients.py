"""Checks: gradients that are missing, added up, clamped, scaled or poisoned."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jax_impl.first_order
import jax_impl.pitfalls.higher
import jax_impl.pitfalls.parameters
import jax_impl.pitfalls.singular
import torch_impl.first_order
import torch_impl.pitfalls.higher
import torch_impl.pitfalls.parameters
import torch_impl.pitfalls.singular
from comparisons.facts import Fact
from comparisons.pitfalls.found import Found
from comparisons.pitfalls.lifetimes import leaf
from comparisons.testing import as_numpy
from comparisons.watch import NOTHING, numbers, raised, same


def poisoned_gradient() -> Found:
    def ours(strategy):
        losses = torch_impl.pitfalls.singular.infinite_loss({})
        return getattr(torch_impl.first_order, strategy)(losses, {"w": leaf(0.0, 1.0)})["a"]["w"]

    def theirs(strategy):
        losses = jax_impl.pitfalls.singular.infinite_loss({})
        return getattr(jax_impl.first_order, strategy)(losses, {"w": jnp.array([0.0, 1.0])})["a"]["w"]

    def fact(side, call, strategies, wanted):
        found = [np.asarray(as_numpy(call(strategy))) for strategy in strategies]
        names = ", ".join(strategy.removeprefix("per_loss_") for strategy in strategies)
        seen = ", ".join(dict.fromkeys(map(numbers, found)))
        return Fact(f"{side}, {names}", all(np.array_equal(g, wanted, equal_nan=True) for g in found), f"{seen} each")

    across = ("per_loss_one_hot", "per_loss_batched", "per_loss_chunked", "per_loss_functional")
    apart = ("per_loss_retained", "per_loss_recomputed", "per_loss_split")
    return Found(
        NOTHING,
        [fact("PyTorch", ours, across, [np.nan, 3.0])],
        [fact("PyTorch", ours, apart, [3.0, 3.0]), fact("JAX", theirs, apart, [3.0, 3.0])],
        [fact("JAX", theirs, across, [np.nan, 3.0])],
    )


def unused_parameter() -> Found:
    used, unused = leaf(1.0, 2.0), leaf(3.0)
    error = raised(lambda: torch_impl.pitfalls.parameters.unused_parameter(used, unused))
    as_none, as_zeros = torch_impl.pitfalls.parameters.unused_parameter_fixed(used, unused)
    found = jax_impl.pitfalls.parameters.unused_parameter(jnp.array([1.0, 2.0]), jnp.array([3.0]))
    return Found(
        error,
        [Fact(".grad stays as it was", used.grad is None and unused.grad is None, "None")],
        [
            Fact("allow_unused=True gives None", same(as_none[0], [2.0, 4.0]) and as_none[1] is None, f"{as_none[1]}"),
            Fact("materialize_grads=True gives zeros", same(as_zeros[1], [0.0]), numbers(as_zeros[1])),
        ],
        [Fact("zeros, without a word", same(found[0], [2.0, 4.0]) and same(found[1], [0.0]), numbers(found[1]))],
    )


def unused_step() -> Found:
    pair = [1.0, 2.0], [0.5, 1.0]
    stays, moves = (
        np.stack(step(leaf(*pair[0]), leaf(*pair[1])))
        for step in (torch_impl.pitfalls.parameters.unused_step, torch_impl.pitfalls.parameters.unused_step_fixed)
    )
    with jax.enable_x64(True):
        given = [jnp.array(values) for values in pair]
        moved = np.stack(jax_impl.pitfalls.parameters.unused_step(*given))
        kept = np.stack(jax_impl.pitfalls.parameters.unused_step_fixed(*given))
    after_one = np.array([0.5, 1.0]) * (1 - 0.1 * 0.1) - 0.1
    return Found(
        NOTHING,
        [
            Fact("PyTorch leaves it where the first step put it", same(stays[1], after_one), numbers(stays[1])),
            Fact("optax moves it again", not same(moved[1], stays[1], 1e-2), numbers(moved[1])),
        ],
        [
            Fact("JAX with a state for each: as PyTorch, a third step too", same(kept, stays), numbers(kept[-1])),
            Fact("PyTorch with zeros: as JAX, a third step too", same(moves, moved), numbers(moves[-1])),
        ],
        [Fact("each default is the other's exception", same(kept, stays) and same(moves, moved), "both ways agree")],
    )


def no_zero_grad() -> Found:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    summed = torch_impl.pitfalls.parameters.no_zero_grad(leaf(1.0, 1.0), x)
    fixed = torch_impl.pitfalls.parameters.no_zero_grad_fixed(leaf(1.0, 1.0), x)
    pure = jax_impl.pitfalls.parameters.no_zero_grad(jnp.ones(2), jnp.asarray(x.numpy(), jnp.float32))
    return Found(
        NOTHING,
        [Fact(".grad is the sum of both steps'", same(summed, x.sum(0)), f"{numbers(summed)}, not {numbers(x[1])}")],
        [Fact("the second step's gradient", same(fixed, x[1]), numbers(fixed))],
        [Fact("absent: a gradient is a value", same(pure, x[1]), numbers(pure))],
    )


def second_order() -> Found:
    ours, theirs = torch_impl.pitfalls.higher, jax_impl.pitfalls.higher
    w = np.array([1.0, 2.0])
    expected, loss_only = 3 * w**2 + 36 * w**3, 3 * w**2
    error = raised(lambda: ours.second_order(leaf(*w)))
    silent, fixed = ours.second_order_silent(leaf(*w)), ours.second_order_fixed(leaf(*w))
    nested, outside = theirs.second_order(jnp.array(w, "float32")), theirs.second_order_silent(jnp.array(w, "float32"))
    return Found(
        error,
        [
            Fact(
                "added to the loss it raises nothing: the penalty's part is missing",
                same(silent, loss_only),
                numbers(silent),
            )
        ],
        [Fact("the loss's and the penalty's gradient", same(fixed, expected), numbers(fixed))],
        [
            Fact("grad inside grad needs no flag", same(nested, expected), numbers(nested)),
            Fact(
                "a gradient from outside the trace is as silent a constant", same(outside, loss_only), numbers(outside)
            ),
        ],
    )


def retain_grad_batched() -> Found:
    w = np.array([0.0, 0.5])
    z = np.tanh(w)
    expected = np.stack([np.ones(2), 2 * z])
    escaped = torch_impl.pitfalls.higher.retain_grad_batched(leaf(*w))
    reading = raised(lambda: escaped.numpy())
    fixed = torch_impl.pitfalls.higher.retain_grad_batched_fixed(leaf(*w))
    rows = jax_impl.pitfalls.higher.retain_grad_batched(jnp.array(w, "float32"))
    return Found(
        reading,
        [
            Fact(
                "z.grad is there, and looks like one row for two losses",
                tuple(escaped.shape) == (2,),
                f"shape {tuple(escaped.shape)}; it is a tensor of vmap's, after vmap is over",
            )
        ],
        [Fact("one row a loss", same(fixed, expected), numbers(fixed))],
        [Fact("absent: the intermediate's cotangents are what the heads return", same(rows, expected), numbers(rows))],
    )


def hook_per_backward() -> Found:
    calls: list = []
    apart = torch_impl.pitfalls.higher.hook_per_backward(leaf(1.0), calls)
    often = len(calls)
    calls.clear()
    once = torch_impl.pitfalls.higher.hook_per_backward_fixed(leaf(1.0), calls)
    theirs = jax_impl.pitfalls.higher
    pulled, single = theirs.hook_per_backward(jnp.ones(1)), theirs.hook_per_backward_fixed(jnp.ones(1))
    return Found(
        NOTHING,
        [
            Fact(
                "two backwards, two calls: each gradient clamped at 1",
                often == 2 and same(apart, [2.0]),
                numbers(apart),
            )
        ],
        [Fact("one backward, one call: the sum clamped at 1", len(calls) == 1 and same(once, [1.0]), numbers(once))],
        [
            Fact(
                "the same with custom_vjp",
                same(pulled, [2.0]) and same(single, [1.0]),
                f"{numbers(pulled)}, {numbers(single)}",
            )
        ],
    )


def scaled_losses() -> Found:
    def run(function):
        w = torch.ones(2, requires_grad=True)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        error = raised(lambda: function(w, torch.optim.SGD([w], 0.1), scaler))
        return error, w.grad

    error, mixed = run(torch_impl.pitfalls.higher.scaled_losses)
    none, fixed = run(torch_impl.pitfalls.higher.scaled_losses_fixed)
    plain = jax_impl.pitfalls.higher.scaled_losses(jnp.ones(2), 4.0)
    return Found(
        error,
        [Fact("w.grad mixes scales: 2 + 4 x 3", same(mixed, [14.0, 14.0]), numbers(mixed))],
        [Fact("the sum of both gradients", not none.kind and same(fixed, [5.0, 5.0]), numbers(fixed))],
        [Fact("absent: scaling is arithmetic on values", same(plain, [5.0, 5.0]), numbers(plain))],
    )
