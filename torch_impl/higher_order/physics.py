"""Losses that hold a network to a partial differential equation and to its boundary values."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, autograd

from torch_impl.higher_order.network import mlp
from torch_impl.higher_order.tree import at_least, checked, floating, whole
from torch_impl.models.losses import Batch, Params


class Field(NamedTuple):
    """A network's value and derivatives at n points, each (n,)."""

    u: Tensor
    u_x: Tensor
    u_t: Tensor
    u_xx: Tensor


def field(params: Params, points: Tensor) -> Field:
    """Derivatives with respect to the inputs, by `create_graph`: the parameters' gradient goes through all of them.

    `points` is (n, 2): x and t, constants to the losses. Each output depends on its own point, so a backward of the sum
    serves all points.
    """
    floating("points", points)
    if points.shape[1:] != (2,):
        raise ValueError(f"`points` must be (n, 2), x and t (got shape {list(points.shape)})")
    points = points.detach().requires_grad_()
    u = mlp(params, points)
    u_x, u_t = autograd.grad(u.sum(), points, create_graph=True)[0].unbind(1)
    u_xx, _ = autograd.grad(u_x.sum(), points, create_graph=True)[0].unbind(1)
    return Field(u, u_x, u_t, u_xx)


def heat(f: Field) -> Tensor:
    """u_t = 0.1 u_xx."""
    return f.u_t - 0.1 * f.u_xx


def burgers(f: Field) -> Tensor:
    """u_t + u u_x = 0.1 u_xx."""
    return f.u_t + f.u * f.u_x - 0.1 * f.u_xx


def pde_losses(equation: Callable[[Field], Tensor], params: Params, batch: Batch) -> dict[str, Tensor]:
    """Three mean squares: the residual at `inside` (n, 2), the misfit at `start` and `edge` to the values given."""
    return {
        "residual": equation(field(params, batch["inside"])).square().mean(),
        "initial": (mlp(params, batch["start"]) - batch["start_u"]).square().mean(),
        "boundary": (mlp(params, batch["edge"]) - batch["edge_u"]).square().mean(),
    }


def train(
    losses: Callable[[Params, Batch], dict[str, Tensor]], params: Params, batch: Batch, steps: int, rate: float
) -> tuple[Params, Tensor]:
    """Adam on the sum of the losses, its rate falling to 0 along a cosine; each loss at each step is (steps, K)."""
    whole(1, steps=steps)
    at_least(0, rate=rate)
    scalars = checked(lambda p: losses(p, batch), params)
    params = {name: p.detach().clone().requires_grad_() for name, p in params.items()}
    optimiser = torch.optim.Adam(params.values(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    trajectory = []
    for _ in range(steps):
        optimiser.zero_grad()
        values = torch.stack(list(scalars(params).values()))
        values.sum().backward()
        optimiser.step()
        schedule.step()
        trajectory.append(values.detach())
    return {name: p.detach() for name, p in params.items()}, torch.stack(trajectory)
