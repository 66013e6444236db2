"""Checks: where a tracer stands between the code and its values, and what becomes of a dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jax_impl.pitfalls.traced
import torch_impl.pitfalls.traced
from comparisons.facts import Fact
from comparisons.pitfalls.found import Found
from comparisons.pitfalls.lifetimes import leaf
from comparisons.watch import NOTHING, numbers, raised, same, warned

POINT = np.array([0.25, 0.75])


def kept_intermediate() -> Found:
    kept: list = []
    error = raised(lambda: jax_impl.pitfalls.traced.kept_intermediate(jnp.array(POINT), kept))
    fixed = jax_impl.pitfalls.traced.kept_intermediate_fixed(jnp.array(POINT))
    tensors: list = []
    torch_impl.pitfalls.traced.kept_intermediate(leaf(*POINT), tensors)
    return Found(
        error,
        [Fact("the list holds a tracer", isinstance(kept[0], jax.core.Tracer), type(kept[0]).__name__)],
        [Fact("has_aux returns the value", same(fixed, np.tanh(POINT) + 1), numbers(fixed))],
        [
            Fact(
                "no error: the tensor is a value, and holds its graph",
                same(tensors[0], np.tanh(POINT)) and tensors[0].grad_fn is not None,
                f"{numbers(tensors[0])} with {tensors[0].grad_fn.name()}",
            )
        ],
    )


def branch_on_value() -> Found:
    w = jnp.array(POINT)
    error = raised(lambda: jax_impl.pitfalls.traced.branch_on_value(w))
    unjitted = jax.grad(lambda w: (w**2).sum() if w.sum() > 0 else -w.sum())(w)
    fixed = jax_impl.pitfalls.traced.branch_on_value_fixed(jnp.array(POINT))
    other = torch_impl.pitfalls.traced.branch_on_value(leaf(*POINT))
    return Found(
        error,
        [Fact("the argument stays readable", not w.is_deleted() and same(w, POINT), numbers(w))],
        [
            Fact("lax.cond", same(fixed, 2 * POINT), numbers(fixed)),
            Fact("without jit, grad alone allows the `if`", same(unjitted, 2 * POINT), numbers(unjitted)),
        ],
        [Fact("absent: the graph is of the branch taken", same(other, 2 * POINT), numbers(other))],
    )


def concrete_value() -> Found:
    error = raised(lambda: jax_impl.pitfalls.traced.concrete_value(jnp.array(POINT)))
    fixed = jax_impl.pitfalls.traced.concrete_value_fixed(jnp.array(POINT))
    with warned() as caught:
        silent = torch_impl.pitfalls.traced.concrete_value(leaf(*POINT))
    right = torch_impl.pitfalls.traced.concrete_value_fixed(leaf(*POINT))
    full = np.full(2, 2 * POINT.sum())
    return Found(
        error,
        [
            Fact(
                "PyTorch: no error, half of the gradient",
                same(silent, full / 2),
                f"{numbers(silent)}, not {numbers(full)}",
            ),
            Fact(
                "it warns, once a process",
                bool(caught),
                str(caught[0].message).splitlines()[0] if caught else "no warning",
            ),
        ],
        [
            Fact("left an array", same(fixed, full), numbers(fixed)),
            Fact("left a tensor", same(right, full), numbers(right)),
        ],
        [Fact("JAX raises where PyTorch warns", bool(error.kind), error.kind)],
    )


def float64_input() -> Found:
    array = np.array([1.0, 1.0 + 1e-12])
    single = jax_impl.pitfalls.traced.float64_input(array)
    double = jax_impl.pitfalls.traced.float64_input_fixed(array)
    other = torch_impl.pitfalls.traced.float64_input(array)
    return Found(
        NOTHING,
        [
            Fact(
                "float64 in, float32 out",
                single.dtype == "float32" and single[0] == single[1],
                "1 + 1e-12 has become 1",
            )
        ],
        [Fact("with x64 on", double.dtype == "float64" and same(double, array, 0), str(double.dtype))],
        [
            Fact(
                "absent: the dtype is the array's",
                other.dtype == torch.float64 and same(other, array, 0),
                str(other.dtype),
            )
        ],
    )


def integer_parameter() -> Found:
    params = {"w": jnp.array([1.0, 2.0]), "count": jnp.array([3, 4])}
    error = raised(lambda: jax_impl.pitfalls.traced.integer_parameter(params))
    gradient = jax.vjp(lambda n: n * 1.0, params["count"])[1](jnp.ones(2))[0]
    fixed = jax_impl.pitfalls.traced.integer_parameter_fixed(params)
    other = raised(lambda: torch_impl.pitfalls.traced.integer_parameter(torch.tensor([3, 4])))
    floating = torch_impl.pitfalls.traced.integer_parameter_fixed(torch.tensor([3, 4]))
    return Found(
        error,
        [Fact("the gradient itself is there, and is nothing", gradient.dtype == jax.dtypes.float0, "dtype float0")],
        [
            Fact(
                "floats updated, integers kept",
                same(fixed["w"], [-2.0, -2.0]) and same(fixed["count"], [3, 4], 0),
                numbers(fixed["w"]),
            ),
        ],
        [
            Fact("an integer cannot even require grad", bool(other.kind), other.message),
            Fact("a floating copy can", floating.requires_grad, str(floating.dtype)),
        ],
    )
