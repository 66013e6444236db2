"""Fused operations spelled out, for the modes in which PyTorch's own rule for them raises or is wrong."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


def layer_norm(x: Tensor, shape, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """The fused kernel's forward-mode rule reads its saved mean and deviation as constants.

    Its tangent is right and that tangent's own derivative is silently wrong (pytorch#196700).
    """
    axes = tuple(range(-len(shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    y = centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


REDUCTIONS = {"mean": torch.mean, "sum": torch.sum, "none": torch.clone}


def mse_loss(x: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean", weight=None) -> Tensor:
    """The fused backward's forward-mode rule divides in place what may be an immutable zero (pytorch#123996)."""
    for argument, given in {"size_average": size_average, "reduce": reduce, "weight": weight}.items():
        if given is not None:
            raise ValueError(f"`{argument}` of `mse_loss` is not spelled out: leave it at None, or write the loss out")
    if reduction not in REDUCTIONS:
        raise ValueError(f"`reduction` must be one of {', '.join(REDUCTIONS)} (got {reduction!r})")
    return REDUCTIONS[reduction]((x - target).square())


class composed(TorchFunctionMode):
    """Inside this block `F.layer_norm` and `F.mse_loss` are elementary operations, right at every order."""

    SPELLED_OUT = {F.layer_norm: layer_norm, F.mse_loss: mse_loss}  # noqa: RUF012

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return self.SPELLED_OUT.get(func, func)(*args, **(kwargs or {}))
