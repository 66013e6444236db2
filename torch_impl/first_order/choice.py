"""Which strategy for one gradient a loss is the fastest, by a rule."""

from collections.abc import Callable

import torch

from torch_impl.cost import flops
from torch_impl.first_order.grouped import per_loss_grouped
from torch_impl.first_order.per_loss import per_loss_retained
from torch_impl.models.losses import Losses, Params

LIGHT = 2e7  # FLOPs: below this, an operator of a small trunk takes about as long to start as to run


def fastest(losses: Losses, params: Params) -> Callable:
    """`per_loss_retained`, unless the trunk is light and there are many losses or heavy heads: `per_loss_grouped`.

    A batched backward starts the trunk's operators once instead of K times, and pays for it with copies and with what
    `vmap` adds to each. That is worth it where a forward of the trunk has fewer than `LIGHT` FLOPs, and K is more than
    16, or more than 4 with heads that outweigh the trunk: their saved tensors are let go before the trunk's backward.
    """
    count = len(losses.heads)
    with torch.no_grad():
        trunk, every = flops(losses.trunk, params), flops(losses, params)
    heavy = every - trunk > count * trunk
    return per_loss_grouped if trunk < LIGHT and (count > 16 or (count > 4 and heavy)) else per_loss_retained
