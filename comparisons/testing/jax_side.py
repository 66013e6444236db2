"""A reader's losses in JAX, compiled: values, gradients and Hessian-vector products, NumPy in and out.

A complex gradient comes back conjugated, in PyTorch's convention.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from comparisons.layout import Arrays
from comparisons.testing.scalars import checked


def values(losses: Callable, points: Sequence[Arrays], dtype: str, batch=None, build=None) -> list[dict[str, float]]:
    """Each loss's value at each of many points, by one compiled program."""
    with _scope(dtype):
        run = jax.jit(_function(losses, batch, build, dtype))
        return [_floats(run(_cast(params, dtype))) for params in points]


def each_gradient(losses: Callable, points: Sequence[Arrays], dtype: str, batch=None, build=None) -> list[tuple]:
    """Each loss's value and its gradient at each of many points, by one compiled program."""
    with _scope(dtype):
        run = _function(losses, batch, build, dtype)
        shapes = jax.eval_shape(run, _cast(points[0], dtype))
        checked(shapes, "jax", dtype, lambda value: (value.shape, value.dtype.name))
        compiled = jax.jit(_each(run))
        both = [compiled(_cast(params, dtype)) for params in points]
    return [(_floats(found), _numpy(grads)) for found, grads in both]


def gradients(losses: Callable, params: Arrays, dtype: str, batch=None, build=None) -> tuple[dict, dict]:
    """Each loss's value and its gradient."""
    return each_gradient(losses, [params], dtype, batch, build)[0]


def products(losses: Callable, params: Arrays, along: Arrays, batch=None, build=None) -> dict:
    """Each loss's Hessian times the direction, forward over reverse, in float64."""
    with _scope("float64"):
        run = _each(_function(losses, batch, build, "float64"))
        product = jax.jit(lambda p, v: jax.jvp(lambda q: run(q)[1], (p,), (v,))[1])
        return _numpy(product(_cast(params, "float64"), _cast(along, "float64")))


def _each(run: Callable) -> Callable:
    """A gradient of its own for each loss: a singular derivative in one is not multiplied by another's zero."""

    def gradients(params):
        names = jax.eval_shape(run, params)
        both = {name: jax.value_and_grad(lambda p: run(p)[name])(params) for name in names}
        return {name: value for name, (value, _) in both.items()}, {name: grad for name, (_, grad) in both.items()}

    return gradients


def _function(losses: Callable, batch, build: Callable | None, dtype: str) -> Callable:
    given = () if batch is None else (_cast(batch, dtype),)

    def run(params):
        found = losses(params if build is None else build(params), *given)
        return dict(found) if isinstance(found, Mapping) else found

    return run


def _scope(dtype: str):
    return jax.enable_x64(dtype == "float64")


def _cast(arrays: Arrays, dtype: str) -> dict:
    double = dtype == "float64"
    kinds = {"f": jnp.dtype(dtype), "c": jnp.dtype("complex128" if double else "complex64")}
    return {name: jnp.asarray(value, kinds.get(np.asarray(value).dtype.kind)) for name, value in arrays.items()}


def _floats(found) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


def _numpy(grads: dict) -> dict:
    return {loss: {name: np.conj(np.asarray(g)) for name, g in grad.items()} for loss, grad in grads.items()}
