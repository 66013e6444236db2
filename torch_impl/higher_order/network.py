"""Two small networks as plain functions of their parameters: weights are (in, out) on both sides."""

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_impl.models.losses import Batch, Params


def mlp(params: Params, x: Tensor) -> Tensor:
    """tanh layers `w0, b0, w1, b1 ...` and a linear last one; x is (batch, in), the result (batch,)."""
    depth = len(params) // 2
    for k in range(depth):
        x = x @ params[f"w{k}"] + params[f"b{k}"]
        x = torch.tanh(x) if k < depth - 1 else x
    return x[:, 0]


def cross_entropies(params: Params, batch: Batch) -> Tensor:
    """Softmax regression on images: one loss an example (batch,), convex in `w` (pixels, 10) and `b` (10,)."""
    logits = batch["images"].flatten(1) @ params["w"] + params["b"]
    return F.cross_entropy(logits, batch["digit"], reduction="none")
