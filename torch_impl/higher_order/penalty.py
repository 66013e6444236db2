"""A loss made of gradients: the WGAN-GP critic's."""

from collections.abc import Callable

import torch
from torch import Tensor, autograd

from torch_impl.higher_order.network import mlp
from torch_impl.higher_order.tree import floating
from torch_impl.models.losses import Batch, Params


def plain_norm(x: Tensor) -> Tensor:
    """Euclidean norms of the rows. PyTorch defines their gradient to be 0 at a row of zeros."""
    return torch.linalg.vector_norm(x, dim=-1)


def safe_root(squares: Tensor) -> Tensor:
    """Square roots, with gradient 0 at 0 by construction, at every order.

    The inner `where` keeps the square root away from 0, the outer one chooses the value.
    """
    zero = squares == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, squares).sqrt())


def safe_norm(x: Tensor) -> Tensor:
    """Euclidean norms of the rows, with gradient 0 at a row of zeros, at every order."""
    return safe_root(x.square().sum(-1))


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], points: Tensor, norm: Callable[[Tensor], Tensor] = safe_norm
) -> Tensor:
    """Mean of (|d critic / d point| - 1)^2 over points (batch, features): `create_graph` keeps it differentiable.

    Each output depends on its own point alone, so one backward of the sum gives every point's gradient. The points are
    constants to the penalty.
    """
    floating("points", points)
    if points.ndim != 2:
        raise ValueError(f"`points` must be (batch, features) (got shape {list(points.shape)}): flatten each point")
    points = points.detach().requires_grad_()
    (slopes,) = autograd.grad(_each(critic(points), points).sum(), points, create_graph=True)
    return (norm(slopes) - 1).square().mean()


def _each(scores: Tensor, points: Tensor) -> Tensor:
    if scores.shape != points.shape[:1]:
        given = f"(got shape {list(scores.shape)} for {len(points)} points)"
        raise ValueError(f"`critic` must give a number for each point {given}: leave the sum to the penalty")
    return scores


def critic_losses(params: Params, batch: Batch, norm: Callable[[Tensor], Tensor] = safe_norm) -> dict[str, Tensor]:
    """A WGAN-GP critic's two losses on `real`, `fake` (batch, features) and `mix` (batch, 1) in [0, 1]."""
    real, fake, mix = batch["real"], batch["fake"], batch["mix"]
    return {
        "wasserstein": mlp(params, fake).mean() - mlp(params, real).mean(),
        "penalty": 10 * gradient_penalty(lambda x: mlp(params, x), mix * real + (1 - mix) * fake, norm),
    }
