"""Pytrees as vectors: inner products, and what a derivative may be taken of."""

from collections.abc import Callable
from typing import Any

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


def checked(losses: Callable[[Params], dict[str, Array]], params: Params) -> Any:
    """The losses, which must be scalars of floating-point parameters: ValueError or TypeError where they are not."""
    for name, p in params.items():
        floating(f"params[{name!r}]", p)

    def scalars(p: Params) -> dict[str, Array]:
        values = losses(p)
        for name, value in values.items():
            if value.ndim:
                raise ValueError(
                    f"`losses` must give scalars (got shape {list(value.shape)} for {name!r}): take a mean or a sum"
                )
        return values

    return scalars
