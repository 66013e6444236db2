"""The attention problem's trunk at any size, behind K linear heads: stated by shapes, and simulated."""

from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_impl.models.attention import Trunk
from torch_impl.models.losses import Batch, Losses, Params, call


@cache
def _trunk(width: int, depth: int, tokens: int) -> Trunk:
    with torch.device("meta"):
        return Trunk(width, depth, tokens)


def network(params: Params) -> Trunk:
    """The trunk for these parameters' sizes, without values of its own."""
    tokens, width = params["trunk.position"].shape
    return _trunk(width, sum(name.endswith(".up.bias") for name in params), tokens)


def losses(batch: Batch) -> Losses:
    """K mean squared errors on the mean token, one for each row of `batch["targets"]` (K, batch)."""

    def trunk(p: Params) -> Tensor:
        return call(network(p), p, "trunk", batch["tokens"])

    def head(k: int, p: Params, z: Tensor) -> Tensor:
        found = F.linear(z, p[f"heads.{k}.weight"], p[f"heads.{k}.bias"])[:, 0]
        return ((found - batch["targets"][k]) ** 2).mean()

    return Losses(trunk, {f"loss{k}": partial(head, k) for k in range(len(batch["targets"]))})
