"""Pytrees as vectors: inner products, and what a derivative may be taken of."""

from collections.abc import Callable
from numbers import Integral

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.models.losses import Losses, Params


def total(losses: Losses) -> Losses:
    """The sum of the losses as one loss, named `total`, behind the same trunk."""
    return Losses(losses.trunk, {"total": lambda p, z: sum(head(p, z) for head in losses.heads.values())})


def inner(a: Params, b: Params) -> Array:
    """The inner product of two pytrees of one structure."""
    return jax.tree.reduce(jnp.add, jax.tree.map(jnp.vdot, a, b))


def floating(argument: str, array: Array) -> None:
    """TypeError with the argument's name where it cannot be differentiated."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"`{argument}` must be floating point (got {array.dtype}): cast it")


def scalar(argument: str, value: Array) -> Array:
    """`value`, which is what the function of this name gives: ValueError where it is not a scalar."""
    if value.ndim:
        raise ValueError(f"`{argument}` must give a scalar (got shape {list(value.shape)}): take a mean or a sum")
    return value


def at_least(least: int, **given: float) -> None:
    """ValueError with the argument's name where a number is below what it must be at least."""
    for argument, number in given.items():
        if not number >= least:
            raise ValueError(f"`{argument}` must be at least {least} (got {number})")


def whole(least: int, **given: int) -> None:
    """ValueError with the argument's name where a count is no whole number, or below what it must be at least."""
    for argument, number in given.items():
        if not isinstance(number, Integral):
            raise ValueError(f"`{argument}` must be a whole number (got {number})")
    at_least(least, **given)


def differentiable(params: Params) -> None:
    """TypeError with the name of a parameter that is not floating point."""
    for name, p in params.items():
        floating(f"params[{name!r}]", p)


def alike(argument: str, given: Params, params: Params) -> None:
    """ValueError where what is given lacks a parameter or has another shape: it would broadcast, and be wrong."""
    differentiable(params)
    for name, p in params.items():
        if name not in given or given[name].shape != p.shape:
            shape = f"shape {list(given[name].shape)}" if name in given else "nothing"
            raise ValueError(
                f"`{argument}` must have shape {list(p.shape)} for {name!r}, as `params` has (got {shape})"
            )
        floating(f"{argument}[{name!r}]", given[name])


def checked(losses: Callable[[Params], dict[str, Array]], params: Params) -> Callable[[Params], dict[str, Array]]:
    """The losses, which must be scalars of floating-point parameters: ValueError or TypeError where they are not."""
    differentiable(params)

    def scalars(p: Params) -> dict[str, Array]:
        values = losses(p)
        if not values:
            raise ValueError("`losses` must give at least one loss (got none)")
        for name, value in values.items():
            if value.ndim:
                raise ValueError(
                    f"`losses` must give scalars (got shape {list(value.shape)} for {name!r}): take a mean or a sum"
                )
            floating(f"losses[{name!r}]", value)
        return values

    return scalars
