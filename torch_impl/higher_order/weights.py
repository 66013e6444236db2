"""GradNorm: loss weights that bring the K gradient norms to one level, by descent on their imbalance."""

from collections.abc import Iterable

import torch
from torch import Tensor, autograd

from torch_impl.higher_order.penalty import safe_root
from torch_impl.higher_order.tree import checked, floating
from torch_impl.models.losses import Losses, Params


def grad_norm(
    losses: Losses, params: Params, weights: dict[str, Tensor], initial: dict[str, Tensor], shared: Iterable[str]
) -> dict[str, Tensor]:
    """The imbalance's gradient for the weights, by differentiating norms of gradients: `create_graph`, K times.

    Imbalance: sum over losses of | |grad (weight loss)| - mean norm x rate^1.5 |, norms over the `shared` parameters,
    rate the loss over its `initial` value relative to the others'. `weights` are scalar leaves that require grad.
    """
    leaves = list(_shared(params, shared).values())
    values = _values(losses, params, weights, initial)
    norms = [
        _norm(autograd.grad(weights[name] * value, leaves, create_graph=True, materialize_grads=True))
        for name, value in values.items()
    ]
    return _derivative(values, torch.stack(norms), weights, initial)


def grad_norm_detached(
    losses: Losses, params: Params, weights: dict[str, Tensor], initial: dict[str, Tensor], shared: Iterable[str]
) -> dict[str, Tensor]:
    """The same numbers with nothing recorded: a positive weight comes out of the norm.

    |grad (weight loss)| = weight |grad loss|, and the norm of the bare loss is a constant to the weights.
    """
    leaves = list(_shared(params, shared).values())
    values = _values(losses, params, weights, initial)
    last = list(values)[-1]
    norms = [
        weights[name] * _norm(autograd.grad(value, leaves, retain_graph=name != last, materialize_grads=True))
        for name, value in values.items()
    ]
    return _derivative(values, torch.stack(norms), weights, initial)


def _values(losses: Losses, params: Params, weights: dict[str, Tensor], initial) -> dict[str, Tensor]:
    values = checked(losses, params)(params)
    _positive("losses", values, values)
    _positive("initial", initial, values)
    _positive("weights", weights, values)
    for name in values:
        floating(f"weights[{name!r}]", weights[name])
    return values


def _positive(argument: str, given, names: Iterable[str]) -> None:
    """A positive scalar for each loss."""
    for name in names:
        if name not in given:
            raise ValueError(f"`{argument}` has nothing for loss {name!r} (it has {', '.join(given)})")
        value = given[name]
        if not value > 0:
            raise ValueError(f"`{argument}[{name!r}]` must be positive (got {value:g})")


def _shared(params: Params, shared: Iterable[str]) -> Params:
    """The parameters whose gradients are balanced."""
    chosen = list(shared)
    missing = [name for name in chosen if name not in params]
    if missing or not chosen:
        given = f"{missing[0]!r}, which is not in `params`" if missing else "none"
        raise ValueError(f"`shared` must name some of the parameters (got {given})")
    return {name: params[name] for name in chosen}


def _norm(gradient: Iterable[Tensor]) -> Tensor:
    return safe_root(torch.stack([g.square().sum() for g in gradient]).sum())


def _derivative(values, norms: Tensor, weights: dict[str, Tensor], initial) -> dict[str, Tensor]:
    rates = torch.stack([(value / initial[name]).detach() for name, value in values.items()])
    target = norms.mean().detach() * (rates / rates.mean()) ** 1.5
    given = [weights[name] for name in values]
    found = autograd.grad((norms - target).abs().sum(), given, materialize_grads=True)
    return dict(zip(values, found, strict=True))
