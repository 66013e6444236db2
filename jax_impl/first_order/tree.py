"""Gradients as pytrees: sums, and the one-hot cotangents of a dict of losses."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.models.losses import Params


def add(a: Params, b: Params) -> Params:
    """The sum, leaf by leaf."""
    return jax.tree.map(jnp.add, a, b)


def one_hot(values: dict[str, Array]) -> dict[str, Array]:
    """All K one-hot cotangents at once: entry k of every array is the cotangent of the k-th loss, in its dtype."""
    rows = jnp.eye(len(values))
    return {name: row.astype(value.dtype) for (name, value), row in zip(values.items(), rows, strict=True)}


def unstack(names: Iterable[str], stacked: Params) -> dict[str, Params]:
    """Row k of every stacked gradient belongs to the k-th name."""
    return {name: jax.tree.map(lambda g: g[k], stacked) for k, name in enumerate(names)}
