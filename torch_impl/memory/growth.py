"""What K losses cost when K grows: one backward for all of them, or some at a time."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from torch_impl.memory.held import held
from torch_impl.memory.peak import peak
from torch_impl.models.losses import Losses, Params


def light(count: int, x: Tensor) -> tuple[Losses, Params]:
    """K losses with heads of one vector each, on two tanh layers: the trunk is nearly all there is to hold."""
    width = x.shape[1]

    def trunk(p: Params) -> Tensor:
        return torch.tanh(torch.tanh(x @ p["a"]) @ p["b"])

    def head(k: int, p: Params, z: Tensor) -> Tensor:
        return (z @ p["heads"][k]).sum()

    sizes = {"a": (width, width), "b": (width, width), "heads": (count, width)}
    params = {name: torch.zeros(*size, device=x.device, requires_grad=True) for name, size in sizes.items()}
    return Losses(trunk, {f"loss{k}": partial(head, k) for k in range(count)}), params


def as_losses_grow(strategy: Callable, x: Tensor, counts: tuple[int, ...] = (4, 8)) -> dict[str, int]:
    """All losses at once need room for K cotangents, a chunk of them for a chunk's; what the graph holds is the same.

    For each K: what is held after the forward, and the peak beyond the K gradients themselves. `per_loss_batched` has
    K copies of each cotangent at work at once, `per_loss_chunked` as many as fit in a chunk.
    """
    figures = {}
    for count in counts:
        losses, params = light(count, x)
        with held(params, x) as ledger:
            values = losses(params)
        figures[f"held, K = {count}"] = ledger.bytes
        del values
        gradients = count * sum(p.nbytes for p in params.values())
        figures[f"beyond, K = {count}"] = peak(lambda: strategy(losses, params), str(x.device)) - gradients
    return figures
