"""Dicts of tensors as vectors: inner products, one flat vector and back, and what a derivative may be taken of."""

from collections.abc import Callable
from numbers import Integral

import torch
from torch import Tensor

from torch_impl.first_order.tree import Gradient
from torch_impl.models.losses import Losses, Params


def total(losses: Losses) -> Losses:
    """The sum of the losses as one loss, named `total`, behind the same trunk."""
    return Losses(losses.trunk, {"total": lambda p, z: sum(head(p, z) for head in losses.heads.values())})


def inner(a: Gradient, b: Params) -> Tensor:
    """The inner product of two dicts; None adds nothing."""
    return torch.stack([(x * b[name]).sum() for name, x in a.items() if x is not None]).sum()


def ravel(params: Params) -> tuple[Tensor, Callable[[Tensor], Params]]:
    """All entries as one vector, and the way back."""

    def unravel(vector: Tensor) -> Params:
        parts = vector.split([p.numel() for p in params.values()])
        return {name: part.view_as(p) for (name, p), part in zip(params.items(), parts, strict=True)}

    return torch.cat([p.reshape(-1) for p in params.values()]), unravel


def floating(argument: str, array: Tensor) -> None:
    """TypeError with the argument's name where it cannot be differentiated."""
    if not array.is_floating_point():
        raise TypeError(f"`{argument}` must be floating point (got {array.dtype}): cast it")


def scalar(argument: str, value: Tensor) -> Tensor:
    """`value`, which is what the function of this name gives: ValueError where it is not a scalar."""
    if value.ndim:
        raise ValueError(f"`{argument}` must give a scalar (got shape {list(value.shape)}): take a mean or a sum")
    return value


def at_least(least: int, **given: float) -> None:
    """ValueError with the argument's name where a number is below what it must be at least."""
    for argument, number in given.items():
        if not number >= least:
            raise ValueError(f"`{argument}` must be at least {least} (got {number})")


def whole(least: int, **given: int) -> None:
    """ValueError with the argument's name where a count is no whole number, or below what it must be at least."""
    for argument, number in given.items():
        if not isinstance(number, Integral):
            raise ValueError(f"`{argument}` must be a whole number (got {number})")
    at_least(least, **given)


def differentiable(params: Params) -> None:
    """TypeError with the name of a parameter that is not floating point."""
    for name, p in params.items():
        floating(f"params[{name!r}]", p)


def alike(argument: str, given: Params, params: Params) -> None:
    """ValueError where what is given lacks a parameter or has another shape: it would broadcast, and be wrong."""
    differentiable(params)
    for name, p in params.items():
        if name not in given or given[name].shape != p.shape:
            shape = f"shape {list(given[name].shape)}" if name in given else "nothing"
            raise ValueError(
                f"`{argument}` must have shape {list(p.shape)} for {name!r}, as `params` has (got {shape})"
            )
        floating(f"{argument}[{name!r}]", given[name])


def recording(params: Params) -> None:
    """ValueError where no parameter requires grad: there would be no graph to go back through."""
    if not any(p.requires_grad for p in params.values()):
        raise ValueError("`params` must require grad: nothing is recorded of them")


def checked(losses: Callable[[Params], dict[str, Tensor]], params: Params) -> Callable[[Params], dict[str, Tensor]]:
    """The losses, which must be scalars of floating-point parameters: ValueError or TypeError where they are not."""
    differentiable(params)

    def scalars(p: Params) -> dict[str, Tensor]:
        values = losses(p)
        if not values:
            raise ValueError("`losses` must give at least one loss (got none)")
        for name, value in values.items():
            if value.ndim:
                raise ValueError(
                    f"`losses` must give scalars (got shape {list(value.shape)} for {name!r}): take a mean or a sum"
                )
            floating(f"losses[{name!r}]", value)
        return values

    return scalars
