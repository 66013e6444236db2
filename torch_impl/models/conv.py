"""Digits as images: two convolutions, then what digit is it, is it odd, how much ink."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_impl.models.losses import Batch, Losses, Params, call


class Trunk(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.norm1 = nn.GroupNorm(2, width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm2 = nn.GroupNorm(2, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(self.conv1(x)))
        x = F.avg_pool2d(x, 2)
        x = F.gelu(self.norm2(self.conv2(x)))
        return x.mean((2, 3))


class Network(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.trunk = Trunk(width)
        self.digit = nn.Linear(2 * width, 10)
        self.odd = nn.Linear(2 * width, 1)
        self.ink = nn.Linear(2 * width, 1)


@cache
def _network(width: int) -> Network:
    with torch.device("meta"):
        return Network(width)


def network(params: Params) -> Network:
    """The modules for these parameters' width, without values of their own."""
    return _network(params["trunk.conv1.bias"].shape[0])


def losses(batch: Batch) -> Losses:
    """Three losses on features pooled over the image, so that no flatten order can differ."""

    def trunk(p: Params) -> Tensor:
        return call(network(p).trunk, p, "trunk", batch["images"][:, None])

    def digit(p: Params, z: Tensor) -> Tensor:
        logits = call(network(p).digit, p, "digit", z)
        return F.cross_entropy(logits, batch["digit"])

    def odd(p: Params, z: Tensor) -> Tensor:
        logit = call(network(p).odd, p, "odd", z)[:, 0]
        return F.binary_cross_entropy_with_logits(logit, batch["odd"])

    def ink(p: Params, z: Tensor) -> Tensor:
        ink = call(network(p).ink, p, "ink", z)[:, 0]
        return F.mse_loss(ink, batch["images"].mean((1, 2)))

    return Losses(trunk, {"digit": digit, "odd": odd, "ink": ink})
