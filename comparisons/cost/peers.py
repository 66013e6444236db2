"""What others offer for one gradient a loss, and for their inner products, called as their documentation says."""

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor

from comparisons.memory.sides import Side
from torch_impl.models import many_heads
from torch_impl.models.losses import Losses, Params

Gradients = dict[str, dict[str, Tensor | None]]


class Peer(NamedTuple):
    """`take(losses, params)` is what is timed; `by_loss` puts what it gave, or left behind, into a loss's order."""

    take: Callable[[Losses, Params], object]
    by_loss: Callable[[Losses, Params, object], Gradients]


def jac(chunk: int | None) -> Peer:
    def take(losses: Losses, params: Params) -> object:
        from torchjd.autojac import jac

        return jac(list(losses(params).values()), list(params.values()), parallel_chunk_size=chunk)

    def by_loss(losses: Losses, params: Params, found) -> Gradients:
        return {name: dict(zip(params, (g[k] for g in found), strict=True)) for k, name in enumerate(losses.heads)}

    return Peer(take, by_loss)


def mtl_backward(chunk: int | None) -> Peer:
    """It adds into `.grad` of a head's own parameters and into `.jac` of the trunk's; both are cleared first."""

    def take(losses: Losses, params: Params) -> None:
        from torchjd.autojac import mtl_backward

        clear(params)
        z = losses.trunk(params)
        mtl_backward([head(params, z) for head in losses.heads.values()], features=z, parallel_chunk_size=chunk)

    def by_loss(losses: Losses, params: Params, _) -> Gradients:
        def row(k: int, name: str, p: Tensor) -> Tensor | None:
            return p.jac[k] if hasattr(p, "jac") else p.grad if name.startswith(f"heads.{k}.") else None

        return {loss: {n: row(k, n, p) for n, p in params.items()} for k, loss in enumerate(losses.heads)}

    return Peer(take, by_loss)


def vmapped_vjp() -> Peer:
    def take(losses: Losses, params: Params) -> object:
        values, vjp = torch.func.vjp(losses, params)
        rows = torch.eye(
            len(values), dtype=next(iter(values.values())).dtype, device=next(iter(params.values())).device
        )
        return torch.func.vmap(vjp)(dict(zip(values, rows, strict=True)))[0]

    def by_loss(losses: Losses, params: Params, found) -> Gradients:
        return {loss: {name: g[k] for name, g in found.items()} for k, loss in enumerate(losses.heads)}

    return Peer(take, by_loss)


PEERS = {
    "torchjd.jac": jac(None),
    "torchjd.jac, chunk 1": jac(1),
    "torchjd.mtl_backward": mtl_backward(None),
    "torchjd.mtl_backward, chunk 1": mtl_backward(1),
    "torch.func.vmap(vjp)": vmapped_vjp(),
}


def engine(side: Side) -> Callable[[], Tensor]:
    """torchjd's Gramian of the losses of `many_heads`; its engine hooks modules, so it is given some of their own."""
    from torchjd.autogram import Engine

    like = next(iter(side.params.values()))
    network = deepcopy(many_heads.network(side.params)).to(like.dtype).to_empty(device=like.device)
    network.load_state_dict(side.params)
    hooked = Engine(network, batch_dim=None)

    def take() -> Tensor:
        z = network.trunk(side.batch["x"])
        pairs = zip(network.heads, side.batch["targets"], strict=True)
        return hooked.compute_gramian(torch.stack([((head(z) - target) ** 2).mean() for head, target in pairs]))

    return take


def clear(params: Params) -> None:
    """What an earlier call left on the parameters."""
    for p in params.values():
        p.grad = None
        p.__dict__.pop("jac", None)
