"""Losses at points where a derivative is infinite, undefined or a matter of choice: two heads, one of them harmless."""

import torch
from torch import Tensor

from torch_impl.models.losses import Batch, Losses, Params


def _beside_a_sum(head) -> Losses:
    """`a` is 3 x the sum of the features, `b` the head given; the trunk is a product with one."""
    return Losses(lambda p: p["w"] * 1.0, {"a": lambda p, z: 3 * z.sum(), "b": head})


def infinite_loss(batch: Batch) -> Losses:
    """`b` has an infinite derivative where w is 0, `a` has none: whoever multiplies b's by zero poisons a."""
    return _beside_a_sum(lambda p, z: z.sqrt().sum())


def infinite_head(batch: Batch) -> Losses:
    """The infinity is at a parameter `v` of b's own head, which `a` never touches."""
    return _beside_a_sum(lambda p, z: (z * p["v"].sqrt()).sum())


def nan_loss(batch: Batch) -> Losses:
    """`b` is NaN itself: the root of a negative feature."""
    return infinite_loss(batch)


def infinite_trunk(batch: Batch) -> Losses:
    """The infinity is in the trunk: `a` passes 1 into it, `b` passes 0."""
    return Losses(lambda p: p["w"].sqrt(), {"a": lambda p, z: z.sum(), "b": lambda p, z: (0 * z).sum()})


def where_trap(batch: Batch) -> Losses:
    """`where` chooses the value, but its backward still multiplies zero by the infinity of the other branch."""
    return _beside_a_sum(lambda p, z: torch.where(z > 0, z.sqrt(), 0).sum())


def double_where(batch: Batch) -> Losses:
    """The remedy: a second `where` keeps the bad point out of the root."""
    return _beside_a_sum(lambda p, z: torch.where(z > 0, torch.where(z > 0, z, 1).sqrt(), 0).sum())


def norm_at_zero(batch: Batch) -> Losses:
    """The norm of a zero vector: PyTorch takes 0 as its gradient."""
    return _beside_a_sum(lambda p, z: torch.linalg.vector_norm(z))


def tied_max(batch: Batch) -> Losses:
    """The largest of equal features: `max` over a dimension gives the gradient to the first."""
    return _beside_a_sum(lambda p, z: z.max(0).values)


def abs_at_zero(batch: Batch) -> Losses:
    """|z| at 0: PyTorch takes 0 as its derivative."""
    return _beside_a_sum(lambda p, z: z.abs().sum())


def bfloat16(batch: Batch) -> Losses:
    """Products in bfloat16 under autocast: sums of losses round where one loss alone would not."""

    def trunk(p: Params) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return batch["x"] @ p["w"]

    def head(k: int):
        return lambda p, z: (z.float() * batch["targets"][k]).sum()

    return Losses(trunk, {f"loss{k}": head(k) for k in range(4)})


def order(batch: Batch) -> Losses:
    """Derivatives 1, 1e8 and -1e8 in float32: the order in which they are added decides between 0 and 1."""

    def head(k: int):
        return lambda p, z: (batch["slopes"][k] * z).sum()

    return Losses(lambda p: p["w"] * 1.0, {f"loss{k}": head(k) for k in range(3)})
