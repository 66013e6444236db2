"""One gradient for each of K losses, a group of losses at a time."""

import jax
import jax.numpy as jnp

from jax_impl.first_order.tree import add, unstack
from jax_impl.models.losses import Losses, Params


def per_loss_grouped(losses: Losses, params: Params, chunk: int = 32) -> dict[str, Params]:
    """`chunk` losses at a time: their heads one by one at the features, then the trunk once, with batched cotangents.

    No head is visited for another's sake. One program holds all the groups: XLA keeps their batched gradients until
    they are taken apart, so the peak grows with K all the same, above that of `per_loss_retained`.
    """
    if chunk < 1:
        raise ValueError(f"`chunk` must be at least 1 (got {chunk}): it is the number of losses in one group")
    z, pullback = jax.vjp(losses.trunk, params)
    names = list(losses.heads)
    grads: dict[str, Params] = {}
    for k in range(0, len(names), chunk):
        group = {name: jax.grad(losses.heads[name], (0, 1))(params, z) for name in names[k : k + chunk]}
        (stacked,) = jax.vmap(pullback)(jax.tree.map(lambda *rows: jnp.stack(rows), *(dz for _, dz in group.values())))
        through = unstack(group, stacked)
        grads |= {name: add(direct, through[name]) for name, (direct, _) in group.items()}
    return grads
