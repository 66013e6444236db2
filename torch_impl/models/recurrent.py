"""Digits read row by row through an LSTM; its last hidden state says what they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.backends import cudnn, mkldnn

from torch_impl.models.losses import Batch, Losses, Params, call


@contextmanager
def own_kernels() -> Iterator[None]:
    """An LSTM of PyTorch's own operators: neither cuDNN's nor oneDNN's, which save a workspace that only they can size.

    Those have no forward mode either, and cuDNN's has neither a batching rule nor a second derivative. oneDNN is left
    by `set_flags`: its `flags` warn of a TF32 that a CPU has not.
    """
    with cudnn.flags(enabled=False):
        before, *_ = mkldnn.set_flags(_enabled=False, _fp32_precision=None)
        try:
            yield
        finally:
            mkldnn.set_flags(_enabled=before, _fp32_precision=None)


class Trunk(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.lstm = nn.LSTM(8, width, batch_first=True)

    def forward(self, rows: Tensor) -> Tensor:
        with own_kernels():
            hidden, _ = self.lstm(rows)
        return hidden[:, -1]


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
    return _network(params["digit.weight"].shape[1])


def losses(batch: Batch) -> Losses:
    """Three losses on the hidden state after the last row."""

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
