"""Strategies: ways to take the gradients of K losses.

Each takes the losses and the parameters, leaves that require grad, and returns, for each loss name or `"total"`,
a gradient with the parameters' names. A parameter that a loss does not touch is None where its graph leads to no use
of it, and zeros where it leads through another loss (batched and one-hot cotangents) or through `torch.func`.
"""

from torch_impl.first_order.grouped import per_loss_grouped
from torch_impl.first_order.per_loss import (
    per_loss_batched,
    per_loss_chunked,
    per_loss_functional,
    per_loss_one_hot,
    per_loss_recomputed,
    per_loss_retained,
    per_loss_split,
)
from torch_impl.first_order.projected import directional, feature_gradients
from torch_impl.first_order.total import accumulated, summed, summed_checkpointed, summed_split

__all__ = [
    "accumulated",
    "directional",
    "feature_gradients",
    "per_loss_batched",
    "per_loss_chunked",
    "per_loss_functional",
    "per_loss_grouped",
    "per_loss_one_hot",
    "per_loss_recomputed",
    "per_loss_retained",
    "per_loss_split",
    "summed",
    "summed_checkpointed",
    "summed_split",
]
