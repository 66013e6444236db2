"""Which strategy for one gradient a loss is the fastest, by a rule."""

from collections.abc import Callable

from jax_impl.cost import flops
from jax_impl.first_order.grouped import per_loss_grouped
from jax_impl.first_order.per_loss import per_loss_retained
from jax_impl.models.losses import Losses, Params

LIGHT = 2e7  # FLOPs: below this, an operation of a small trunk takes about as long to start as to run


def fastest(losses: Losses, params: Params) -> Callable:
    """`per_loss_grouped` where the trunk is light, however many losses there are; else `per_loss_retained`.

    A compiled program starts its operations one by one too. A batched pull starts the trunk's once instead of K times,
    and pays for it with copies: worth it where a forward of the trunk has fewer than `LIGHT` FLOPs. Each head is
    visited once either way.
    """
    return per_loss_grouped if flops(losses.trunk, params) < LIGHT else per_loss_retained
