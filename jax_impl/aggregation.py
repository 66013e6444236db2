"""Gradient surgery: K losses' gradients become one, with weights found in their K x K inner products.

`combine(grads, upgrad(gramian(grads)))`. A rule never sees a parameter: whatever it does is a weight for each loss.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from jax_impl.models.losses import Params


def gramian(grads: Mapping[str, Params]) -> Array:
    """Two losses conflict where their gradients' inner product is negative; all the products, (K, K).

    In float32 at least. `jax_impl.gram.gram` gives the same without forming the gradients.
    """
    rows = jnp.stack([ravel_pytree(grad)[0] for grad in grads.values()])
    rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    return rows @ rows.T


def combine(grads: Mapping[str, Params], weights: Array) -> Params:
    """The gradient of the weighted sum of the losses, from their gradients."""

    def total(*gs: Array) -> Array:
        return sum(w * g for w, g in zip(weights, gs, strict=True)).astype(gs[0].dtype)

    return jax.tree.map(total, *grads.values())


def pcgrad(gram: Array, order: Sequence[Sequence[int]] | None = None) -> Array:
    """Each gradient loses its part against every other that it conflicts with, one after the other; then they add up.

    `order[i]` lists the losses as gradient i meets them (by default as they stand; the paper draws it each step). A
    later projection can bring an earlier conflict back. Yu et al., 2020, arXiv:2001.06782.
    """
    every, weights = range(len(gram)), jnp.eye(len(gram), dtype=gram.dtype)
    for i in every:
        for j in every if order is None else order[i]:
            if j != i:
                conflict = jnp.minimum(weights[i] @ gram[j], 0)
                weights = weights.at[i, j].add(-conflict / _nonzero(gram[j, j]))
    return weights.sum(0)


def upgrad(gram: Array, sweeps: int = 1000) -> Array:
    """Each gradient moves the least distance after which it opposes no loss: `pcgrad`'s sweep, until it stands still.

    A sweep may also take back what an earlier one added, and they end at the projection on the dual cone (Hildreth's
    method; near-parallel conflicts take many). The moved gradients add up; the paper takes their mean. Quinton and
    Rey, 2024, arXiv:2406.16232. NaN where it still moves after `sweeps`.
    """
    own = jnp.eye(len(gram), dtype=gram.dtype)

    def sweep(carry):
        before, count = carry[1], carry[2] + 1
        added = before
        for j in range(len(gram)):
            inner = (own + added) @ gram[j]
            added = added.at[:, j].set(jnp.maximum(added[:, j] - inner / _nonzero(gram[j, j]), 0))
        return before, added, count

    def moving(carry):
        before, added, _ = carry
        return jnp.abs(added - before).max() > _rounding(gram) * jnp.abs(added).max()

    first = sweep((None, jnp.zeros_like(gram), 0))
    last = jax.lax.while_loop(lambda carry: (carry[2] < sweeps) & moving(carry), sweep, first)
    return jnp.where(moving(last), jnp.nan, (own + last[1]).sum(0))


def mgda(gram: Array, steps: int = 1000) -> Array:
    """The shortest convex combination of the gradients: no loss's gradient has a smaller part along it than its square.

    Each step moves weight from the loss that descends most to the one that descends least, as far as the line allows
    (pairwise Frank-Wolfe). Zero only where no direction helps every loss. Desideri, 2012; Sener and Koltun, 2018.
    """

    def extremes(weights):
        inner = gram @ weights
        least, most = inner.argmin(), jnp.where(weights > 0, inner, -jnp.inf).argmax()
        return least, most, inner[most] - inner[least]

    def unequal(carry):
        weights, count = carry
        return (count < steps) & ~(extremes(weights)[2] <= _rounding(gram) * gram.diagonal().max())

    def move(carry):
        weights, count = carry
        least, most, gap = extremes(weights)
        curvature = gram[least, least] + gram[most, most] - 2 * gram[least, most]
        step = jnp.minimum(gap / _nonzero(curvature), weights[most])
        return weights.at[least].add(step).at[most].add(-step), count + 1

    start = jnp.full_like(gram[0], 1 / len(gram))
    return jax.lax.while_loop(unequal, move, (start, 0))[0]


def _nonzero(x: Array) -> Array:
    """A loss with no gradient conflicts with none: 0 / tiny = 0."""
    return jnp.maximum(x, jnp.finfo(x.dtype).tiny)


def _rounding(x: Array) -> float:
    return 32 * float(jnp.finfo(x.dtype).eps)
