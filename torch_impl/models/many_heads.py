"""Synthetic: a tanh trunk of any depth and width, and K heads, each with a hidden layer or none."""

from functools import cache, partial

import torch
from torch import Tensor, nn

from torch_impl.models.losses import Batch, Losses, Params, call


class Trunk(nn.Module):
    def __init__(self, width: int, depth: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


class Head(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.hidden = nn.Linear(width, hidden) if hidden else None
        self.out = nn.Linear(hidden or width, 1)

    def forward(self, z: Tensor) -> Tensor:
        return self.out(torch.tanh(self.hidden(z)) if self.hidden else z)[:, 0]


class Network(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, hidden: int):
        super().__init__()
        self.trunk = Trunk(width, depth)
        self.heads = nn.ModuleList(Head(width, hidden) for _ in range(heads))


@cache
def _network(width: int, depth: int, heads: int, hidden: int) -> Network:
    with torch.device("meta"):
        return Network(width, depth, heads, hidden)


@cache
def _counted(names: tuple[str, ...]) -> tuple[int, int]:
    """Layers of the trunk, and heads; once for each set of names, since every head asks."""
    return sum(name.startswith("trunk.") for name in names) // 2, sum(name.endswith(".out.bias") for name in names)


def network(params: Params) -> Network:
    """The modules for these parameters' sizes, without values of their own."""
    depth, heads = _counted(tuple(params))
    hidden = params["heads.0.hidden.bias"].shape[0] if "heads.0.hidden.bias" in params else 0
    return _network(params["trunk.layers.0.bias"].shape[0], depth, heads, hidden)


def losses(batch: Batch) -> Losses:
    """K mean squared errors, one for each row of `batch["targets"]` (K, batch)."""

    def trunk(p: Params) -> Tensor:
        return call(network(p).trunk, p, "trunk", batch["x"])

    def head(k: int, p: Params, z: Tensor) -> Tensor:
        return ((call(network(p).heads[k], p, f"heads.{k}", z) - batch["targets"][k]) ** 2).mean()

    return Losses(trunk, {f"loss{k}": partial(head, k) for k in range(len(batch["targets"]))})
