"""Losses whose second or third derivative JAX refuses in some modes; beside each the form that works."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Loss = Callable[[Array], Array]


class Limit(NamedTuple):
    """A scalar loss of x (4, 6), the same loss in a form that every mode differentiates, and how it was made."""

    loss: Loss
    remedy: Loss
    recipe: str


def forward_over_reverse(loss: Loss, x: Array, v: Array) -> Array:
    return jax.jvp(jax.grad(loss), (x,), (v,))[1]


def reverse_over_forward(loss: Loss, x: Array, v: Array) -> Array:
    return jax.grad(lambda x: jax.jvp(loss, (x,), (v,))[1])(x)


def reverse_over_reverse(loss: Loss, x: Array, v: Array) -> Array:
    return jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), v))(x)


def hessian(loss: Loss, x: Array, v: Array) -> Array:
    """Forward over reverse again, but along every unit vector at once, under `vmap`."""
    return jnp.tensordot(jax.hessian(loss)(x), v, 2)


def third(loss: Loss, x: Array, v: Array) -> Array:
    """Three backwards: a slope along v is a loss too."""
    return reverse_over_reverse(_slope(loss, v), x, v)


def third_forward(loss: Loss, x: Array, v: Array) -> Array:
    """The same with a tangent as the last step."""
    return forward_over_reverse(_slope(loss, v), x, v)


def _slope(loss: Loss, v: Array) -> Loss:
    return lambda x: jnp.vdot(jax.grad(loss)(x), v)


@jax.custom_vjp
def cube(x: Array) -> Array:
    return x**3


cube.defvjp(lambda x: (x**3, x), lambda x, cotangent: (cotangent * 3 * x**2,))


@jax.custom_jvp
def cube_with_tangent(x: Array) -> Array:
    return x**3


cube_with_tangent.defjvp(lambda primals, tangents: (primals[0] ** 3, tangents[0] * 3 * primals[0] ** 2))


def while_loop(x: Array) -> Array:
    _, y = jax.lax.while_loop(lambda state: state[0] < 3, lambda state: (state[0] + 1, state[1] * x), (0, x))
    return jnp.sin(y).sum()


def scan(x: Array) -> Array:
    y, _ = jax.lax.scan(lambda y, _: (y * x, None), x, length=3)
    return jnp.sin(y).sum()


def callback(x: Array) -> Array:
    y = jax.pure_callback(lambda x: np.asarray(x) ** 3, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
    return y.sum()


LIMITS = {
    "custom_vjp": Limit(
        lambda x: cube(x).sum(), lambda x: cube_with_tangent(x).sum(), "`custom_jvp`: JAX transposes it"
    ),
    "while_loop": Limit(while_loop, scan, "`scan` of a fixed length"),
    "pure_callback": Limit(callback, lambda x: cube_with_tangent(x).sum(), "`custom_jvp`, or JAX operations"),
}
