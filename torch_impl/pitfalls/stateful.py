"""Losses that draw random numbers or keep state: what a trunk does a second time need not be what it did first.

State lives in the batch and is changed in place: `updates` counts how often the trunk ran.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from torch_impl.models.losses import Batch, Losses, Params

HEADS = 4


def _four_heads(trunk, batch: Batch) -> Losses:
    """Four losses, each a weighting of the squared features."""

    def head(k: int):
        return lambda p, z: (batch["targets"][k] * z**2).sum()

    return Losses(trunk, {f"loss{k}": head(k) for k in range(HEADS)})


def dropout(batch: Batch) -> Losses:
    """The mask comes from the global generator: every run of the trunk draws another."""
    return _four_heads(lambda p: torch.dropout(batch["x"] @ p["w"], 0.5, True), batch)


def dropout_keyed(batch: Batch) -> Losses:
    """The mask comes from a generator of its own, seeded in the trunk: every run draws the same."""

    def trunk(p: Params) -> Tensor:
        z = batch["x"] @ p["w"]
        mask = torch.rand(z.shape, generator=torch.Generator().manual_seed(7), dtype=z.dtype) < 0.5
        return torch.where(mask, 2 * z, 0)

    return _four_heads(trunk, batch)


def dropout_rerun(batch: Batch) -> Losses:
    """The trunk is checkpointed: its recomputation restores the generator's state and draws the same mask."""
    trunk = dropout(batch).trunk
    return _four_heads(lambda p: checkpoint(trunk, p, use_reentrant=False), batch)


def dropout_forgot(batch: Batch) -> Losses:
    """`preserve_rng_state=False`: the recomputation draws another mask, and the gradient is of no function."""
    trunk = dropout(batch).trunk
    return _four_heads(lambda p: checkpoint(trunk, p, use_reentrant=False, preserve_rng_state=False), batch)


def batch_norm(batch: Batch) -> Losses:
    """Batch statistics normalise, and move the running mean: once for each run of the trunk."""

    def trunk(p: Params) -> Tensor:
        z = batch["x"] @ p["w"]
        with torch.no_grad():
            batch["running"].mul_(0.9).add_(0.1 * z.mean(0))
            batch["updates"].add_(1)
        return (z - z.mean(0)) / z.std(0, correction=0)

    return _four_heads(trunk, batch)


def batch_norm_rerun(batch: Batch) -> Losses:
    """A checkpointed trunk runs again in every backward, and so does the update of its statistics."""
    trunk = batch_norm(batch).trunk
    return _four_heads(lambda p: checkpoint(trunk, p, use_reentrant=False), batch)


def power_iteration(batch: Batch) -> Losses:
    """Spectral normalisation: each run of the trunk improves its estimate, so a second run is another function."""

    def trunk(p: Params) -> Tensor:
        with torch.no_grad():
            v = p["w"].T @ (p["w"] @ batch["running"])
            batch["running"].copy_(v / torch.linalg.vector_norm(v))
            batch["updates"].add_(1)
        return batch["x"] @ p["w"] / torch.linalg.vector_norm(p["w"] @ batch["running"].clone())

    return _four_heads(trunk, batch)
