"""Digits as eight tokens, the rows of the image, through pre-norm transformer blocks."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from torch_impl.models.losses import Batch, Losses, Params, call


def heads(width: int) -> int:
    """64 features a head, as in GPT-2, and never fewer than two heads."""
    return max(2, width // 64)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads(width), batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no forward mode and no second derivative
            x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Trunk(nn.Module):
    def __init__(self, width: int, depth: int, tokens: int = 8):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(torch.zeros(tokens, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.position
        for block in self.blocks:
            x = block(x)
        return self.norm(x).mean(1)


class Network(nn.Module):
    def __init__(self, width: int, depth: int):
        super().__init__()
        self.trunk = Trunk(width, depth)
        self.digit = nn.Linear(width, 10)
        self.odd = nn.Linear(width, 1)
        self.pixels = nn.Linear(width, 64)


@cache
def _network(width: int, depth: int) -> Network:
    with torch.device("meta"):
        return Network(width, depth)


def network(params: Params) -> Network:
    """The modules for these parameters' width and depth, without values of their own."""
    return _network(params["digit.weight"].shape[1], sum(name.endswith(".up.bias") for name in params))


def losses(batch: Batch) -> Losses:
    """Three losses on the mean token."""

    def trunk(p: Params) -> Tensor:
        return call(network(p).trunk, p, "trunk", batch["images"])

    def digit(p: Params, z: Tensor) -> Tensor:
        logits = call(network(p).digit, p, "digit", z)
        return F.cross_entropy(logits, batch["digit"])

    def odd(p: Params, z: Tensor) -> Tensor:
        logit = call(network(p).odd, p, "odd", z)[:, 0]
        return F.binary_cross_entropy_with_logits(logit, batch["odd"])

    def pixels(p: Params, z: Tensor) -> Tensor:
        drawn = call(network(p).pixels, p, "pixels", z)
        return F.mse_loss(drawn, batch["images"].flatten(1))

    return Losses(trunk, {"digit": digit, "odd": odd, "pixels": pixels})
