"""Strategies: ways to take the gradients of K losses.

Each is a pure function of the losses and the parameters; the caller compiles it, with the batch as an argument:
`jax.jit(lambda params, batch: strategy(losses(batch), params))`. It returns, for each loss name or `"total"`, a
gradient with the parameters' structure. A parameter that a loss does not touch has a gradient of zeros.
"""

from jax_impl.first_order.grouped import per_loss_grouped
from jax_impl.first_order.per_loss import (
    per_loss_batched,
    per_loss_chunked,
    per_loss_functional,
    per_loss_one_hot,
    per_loss_recomputed,
    per_loss_retained,
    per_loss_split,
)
from jax_impl.first_order.projected import directional, feature_gradients
from jax_impl.first_order.total import accumulated, summed, summed_checkpointed, summed_split

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
