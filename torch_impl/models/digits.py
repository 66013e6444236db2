"""Digits, a multilayer perceptron: what digit is it, is it odd, draw it again, and keep the weights small."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_impl.models.losses import Batch, Losses, Params, call


class Trunk(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.l1 = nn.Linear(64, width)
        self.l2 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.l2(F.relu(self.l1(x))))


class Network(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.trunk = Trunk(width)
        self.digit = nn.Linear(width, 10)
        self.odd = nn.Linear(width, 1)
        self.pixels = nn.Linear(width, 64)


@cache
def _network(width: int) -> Network:
    with torch.device("meta"):
        return Network(width)


def network(params: Params) -> Network:
    """The modules for these parameters' width, without values of their own."""
    return _network(params["trunk.l1.bias"].shape[0])


def losses(batch: Batch) -> Losses:
    """Four losses that touch different parameters: no head's but its own, and `decay` no feature and no bias."""

    def trunk(p: Params) -> Tensor:
        return call(network(p).trunk, p, "trunk", batch["images"].flatten(1))

    def digit(p: Params, z: Tensor) -> Tensor:
        logits = call(network(p).digit, p, "digit", z)
        return F.cross_entropy(logits, batch["digit"])

    def odd(p: Params, z: Tensor) -> Tensor:
        logit = call(network(p).odd, p, "odd", z)[:, 0]
        return F.binary_cross_entropy_with_logits(logit, batch["odd"])

    def pixels(p: Params, z: Tensor) -> Tensor:
        drawn = call(network(p).pixels, p, "pixels", z)
        return F.mse_loss(drawn, batch["images"].flatten(1))

    def decay(p: Params, z: Tensor) -> Tensor:
        return 1e-3 * sum((w**2).sum() for w in p.values() if w.ndim > 1)

    return Losses(trunk, {"digit": digit, "odd": odd, "pixels": pixels, "decay": decay})
