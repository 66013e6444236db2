"""What it costs to add gradients up: `.grad` in place, and what `zero_grad` leaves in it."""

import torch

from torch_impl.first_order import accumulated, per_loss_retained
from torch_impl.memory.peak import peak
from torch_impl.models.losses import Losses, Params


def accumulates(n: int = 1024) -> dict[str, int]:
    """`backward` adds into one buffer: `.grad` keeps its address and holds the sum, here of n ones each time."""
    p = torch.zeros(n, requires_grad=True)
    p.sum().backward()
    first, address = p.grad.sum().item(), p.grad.data_ptr()
    p.sum().backward()
    return {"one": round(first), "two": round(p.grad.sum().item()), "moved": int(p.grad.data_ptr() != address)}


def accumulation(losses: Losses, params: Params) -> dict[str, int]:
    """`.grad` adds up in place: one gradient is alive at a time beside the sum, where K results are K gradients."""
    figures, device = {}, _device(params)
    for strategy in (accumulated, per_loss_retained):
        _clear(params)
        figures[strategy.__name__] = peak(lambda: strategy(losses, params), device)
    _clear(params)
    return figures | {"one gradient": sum(p.nbytes for p in params.values())}


def zero_grad_policy(losses: Losses, params: Params) -> dict[str, int]:
    """`zero_grad(set_to_none=False)` keeps a whole gradient alive: the peak of a sum rises to that of K backwards.

    Peaks of a step, `.grad` included whenever it is there: `none` begins without it, `zeros` with zeros in it.
    """

    def sequential() -> None:
        values = losses(params)
        for name, value in values.items():
            value.backward(retain_graph=name != list(values)[-1])

    def summed() -> None:
        sum(losses(params).values()).backward()

    figures, size, device = {}, sum(p.nbytes for p in params.values()), _device(params)
    for step in (sequential, summed):
        _clear(params)
        figures[f"none, {step.__name__}"] = peak(step, device)
        for p in params.values():
            p.grad = torch.zeros_like(p)
        figures[f"zeros, {step.__name__}"] = peak(step, device) + size
    _clear(params)
    return figures


def _clear(params: Params) -> None:
    for p in params.values():
        p.grad = None


def _device(params: Params) -> str:
    return str(next(iter(params.values())).device)
