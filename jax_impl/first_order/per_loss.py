"""One gradient for each of K losses."""

import jax
import jax.numpy as jnp

from jax_impl.first_order.tree import add, one_hot, unstack
from jax_impl.models.losses import Losses, Params


def per_loss_retained(losses: Losses, params: Params) -> dict[str, Params]:
    """One pullback of the trunk, pulled K times: its residuals live until the last loss has used them.

    Each pull visits its own head and the trunk. A pullback is a value: there is nothing to retain, only to let go.
    """
    z, pullback = jax.vjp(losses.trunk, params)
    grads = {}
    for name, head in losses.heads.items():
        direct, dz = jax.grad(head, (0, 1))(params, z)
        (through,) = pullback(dz)
        grads[name] = add(direct, through)
    return grads


def per_loss_recomputed(losses: Losses, params: Params) -> dict[str, Params]:
    """K gradients, each of its own function: trunk and one head.

    Compiled one by one, each pays for the trunk's forward again; inside one `jit`, XLA finds the K forwards to be
    the same and runs one.
    """
    return {name: jax.grad(lambda p: head(p, losses.trunk(p)))(params) for name, head in losses.heads.items()}


def per_loss_one_hot(losses: Losses, params: Params) -> dict[str, Params]:
    """K pulls through all the losses, each with a one-hot cotangent.

    Every pull visits every head and multiplies the others by zero, so K^2 heads are paid for, and zero times an
    infinity in one head is a NaN in every loss's gradient.
    """
    values, pullback = jax.vjp(losses, params)
    rows = one_hot(values)
    return {name: pullback(jax.tree.map(lambda row: row[k], rows))[0] for k, name in enumerate(values)}


def per_loss_batched(losses: Losses, params: Params) -> dict[str, Params]:
    """One pull carries all K cotangents: the rows of an identity matrix, under `vmap`.

    K small products become one large one. Every row visits every head, as in `per_loss_one_hot`.
    """
    values, pullback = jax.vjp(losses, params)
    (stacked,) = jax.vmap(pullback)(one_hot(values))
    return unstack(values, stacked)


def per_loss_chunked(losses: Losses, params: Params, chunk: int = 2) -> dict[str, Params]:
    """Batched, `chunk` cotangents at a time: what a pull takes beyond its results does not grow with K.

    All K heads' residuals do, and so do the stacked gradients that the loop leaves. `chunk=1` takes one row at a time,
    `chunk=K` is `per_loss_batched`.
    """
    if chunk < 1:
        raise ValueError(f"`chunk` must be at least 1 (got {chunk}): it is the number of losses in one pull")
    values, pullback = jax.vjp(losses, params)
    (stacked,) = jax.lax.map(pullback, one_hot(values), batch_size=chunk)
    return unstack(values, stacked)


def per_loss_split(losses: Losses, params: Params) -> dict[str, Params]:
    """Heads one by one at the features, then the trunk once, with all K cotangents batched.

    No head is visited for another's sake, and no other head's infinity reaches a gradient: the batched pull begins
    at the features.
    """
    z, pullback = jax.vjp(losses.trunk, params)
    direct, dz = {}, []
    for name, head in losses.heads.items():
        direct[name], dfeature = jax.grad(head, (0, 1))(params, z)
        dz.append(dfeature)
    (stacked,) = jax.vmap(pullback)(jax.tree.map(lambda *rows: jnp.stack(rows), *dz))
    through = unstack(direct, stacked)
    return {name: add(direct[name], through[name]) for name in direct}


def per_loss_functional(losses: Losses, params: Params) -> dict[str, Params]:
    """`jax.jacrev` of a dict of losses: the gradients come back as a dict of pytrees.

    The cotangents are batched, as in `per_loss_batched`, which spells out what it does.
    """
    return jax.jacrev(losses)(params)
