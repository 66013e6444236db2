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


def checked(losses: Callable[[Params], dict[str, Array]], params: Params) -> Any:
    """The losses, which must be scalars of floating-point parameters: ValueError or TypeError where they are not."""
    for name, p in params.items():
        if not jnp.issubdtype(p.dtype, jnp.floating):
            raise TypeError(f"`params[{name!r}]` must be floating point (got {p.dtype}): cast it, or leave it out")

    def scalars(p: Params) -> dict[str, Array]:
        values = losses(p)
        for name, value in values.items():
            if value.ndim:
                raise ValueError(
                    f"`losses` must give scalars (got shape {list(value.shape)} for {name!r}): take a mean or a sum"
                )
        return values

    return scalars
