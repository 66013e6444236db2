"""Derivatives of scalar functions to any order, and nested derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.higher_order.tree import floating, scalar, whole

Function = Callable[[Array], Array]


def nth_derivative(function: Function, x: Array, order: int) -> Array:
    """`jax.grad` of a function is a function, so it nests `order` times.

    x is a floating-point scalar, `function` gives one; the program grows by a factor with every order. Where a
    derivative no longer depends on x, the next is 0: a polynomial ends so.
    """
    if order < 1:
        raise ValueError(f"`order` must be at least 1 (got {order}): order 0 is the function itself")
    whole(1, order=order)
    if x.ndim:
        raise ValueError(f"`x` must be a scalar (got shape {list(x.shape)}): take one entry at a time")
    floating("x", x)
    floating("function(x)", scalar("function", jax.eval_shape(function, x)))
    for _ in range(order):
        function = jax.grad(function)
    return function(x)


def reverse(function: Function) -> Function:
    """The derivative by reverse mode. `jax.grad` gives each nesting level its own trace."""
    return jax.grad(function)


def forward(function: Function) -> Function:
    """The derivative by forward mode. `jax.jvp` gives each nesting level its own trace."""
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]
