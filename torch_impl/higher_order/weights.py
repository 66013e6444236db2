"""GradNorm: loss weights that bring the K gradient norms to one level, by descent on their imbalance."""

from collections.abc import Iterable

import torch
from torch import Tensor, autograd

from torch_impl.models.losses import Losses, Params


def grad_norm(
    losses: Losses, params: Params, weights: dict[str, Tensor], initial: dict[str, Tensor], shared: Iterable[str]
) -> dict[str, Tensor]:
    """The imbalance's gradient for the weights, by differentiating norms of gradients: `create_graph`, K times.

    Imbalance: sum over losses of | |grad (weight loss)| - mean norm x rate^1.5 |, norms over the `shared` parameters,
    rate the loss over its `initial` value relative to the others'. `weights` are scalar leaves that require grad.
    """
    values = losses(params)
    leaves = [params[name] for name in shared]
    norms = [_norm(autograd.grad(weights[name] * value, leaves, create_graph=True)) for name, value in values.items()]
    return _derivative(values, torch.stack(norms), weights, initial)


def grad_norm_detached(
    losses: Losses, params: Params, weights: dict[str, Tensor], initial: dict[str, Tensor], shared: Iterable[str]
) -> dict[str, Tensor]:
    """The same numbers with nothing recorded: a positive weight comes out of the norm.

    |grad (weight loss)| = weight |grad loss|, and the norm of the bare loss is a constant to the weights.
    """
    values = losses(params)
    leaves = [params[name] for name in shared]
    last = list(values)[-1]
    norms = [
        weights[name] * _norm(autograd.grad(value, leaves, retain_graph=name != last)) for name, value in values.items()
    ]
    return _derivative(values, torch.stack(norms), weights, initial)


def _norm(gradient: Iterable[Tensor]) -> Tensor:
    return torch.stack([g.square().sum() for g in gradient]).sum().sqrt()


def _derivative(values, norms: Tensor, weights: dict[str, Tensor], initial) -> dict[str, Tensor]:
    rates = torch.stack([(value / initial[name]).detach() for name, value in values.items()])
    target = norms.mean().detach() * (rates / rates.mean()) ** 1.5
    found = autograd.grad((norms - target).abs().sum(), [weights[name] for name in values])
    return dict(zip(values, found, strict=True))
