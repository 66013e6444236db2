"""Gradients as dicts: `autograd.grad` by name, and sums in which None is nothing."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, autograd

from torch_impl.models.losses import Params

Gradient = dict[str, Tensor | None]


def grad(outputs: Tensor, params: Params, cotangents: Tensor | None = None, **options) -> Gradient:
    """`autograd.grad` with respect to a dict; a parameter that `outputs` does not reach is None."""
    found = autograd.grad(outputs, list(params.values()), cotangents, allow_unused=True, **options)
    return dict(zip(params, found, strict=True))


def head_grad(head: Callable[[Params, Tensor], Tensor], params: Params, z: Tensor) -> tuple[Gradient, Tensor]:
    """One head alone: its gradient with respect to the parameters that it touches directly, and to the features."""
    cut = z.detach().requires_grad_()
    *direct, dz = autograd.grad(head(params, cut), [*params.values(), cut], allow_unused=True)
    return dict(zip(params, direct, strict=True)), torch.zeros_like(z) if dz is None else dz


def add(a: Gradient, b: Gradient) -> Gradient:
    """The sum, name by name; None adds nothing, and two of them stay None."""
    pairs = ((name, a[name], b[name]) for name in a)
    return {name: y if x is None else x if y is None else x + y for name, x, y in pairs}


def unstack(names: Iterable[str], stacked: Gradient) -> dict[str, Gradient]:
    """Row k of every stacked gradient belongs to the k-th name."""
    return {name: {p: None if g is None else g[k] for p, g in stacked.items()} for k, name in enumerate(names)}
