"""Which strategy for one gradient a loss is the fastest, by a rule."""

from collections.abc import Callable

from jax_impl.first_order.per_loss import per_loss_retained
from jax_impl.models.losses import Losses, Params


def fastest(losses: Losses, params: Params) -> Callable:
    """`per_loss_retained`, whatever the number of losses and the FLOPs of trunk and heads.

    Inside one `jit` no operator starts on its own, so batching saves nothing and pays for its copies; and each pull
    visits one head alone.
    """
    return per_loss_retained
