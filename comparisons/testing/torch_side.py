"""A reader's losses in eager PyTorch: values, gradients and Hessian-vector products, NumPy in and out."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from comparisons.layout import Arrays
from comparisons.testing.arrays import as_numpy
from comparisons.testing.scalars import checked


def values(losses: Callable, points: Sequence[Arrays], dtype: str, batch=None, module=None) -> list[dict[str, float]]:
    """Each loss's value at each of many points."""
    return [_floats(_run(losses, params, dtype, batch, module)[0]) for params in points]


def each_gradient(losses: Callable, points: Sequence[Arrays], dtype: str, batch=None, module=None) -> list[tuple]:
    """Each loss's value and its gradient at each of many points."""
    return [gradients(losses, params, dtype, batch, module) for params in points]


def gradients(losses: Callable, params: Arrays, dtype: str, batch=None, module=None) -> tuple[dict, dict]:
    """Each loss's value and its gradient; a parameter that it does not reach is None."""
    found, leaves = _run(losses, params, dtype, batch, module)
    grads = {name: _grad(value, leaves, retain_graph=True) for name, value in found.items()}
    return _floats(found), _numpy(grads)


def products(losses: Callable, params: Arrays, along: Arrays, batch=None, module=None) -> dict:
    """Each loss's Hessian times the direction, by differentiating twice backwards, in float64."""
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
        found, leaves = _run(losses, params, "float64", batch, module)
        rows = {}
        for name, value in found.items():
            grads = _grad(value, leaves, create_graph=True)
            slopes = [(g * _tensor(along[key], "float64")).sum() for key, g in grads.items() if g is not None]
            rows[name] = _grad(sum(slopes), leaves, retain_graph=True) if slopes else dict.fromkeys(leaves)
    return _numpy(rows)


def _run(losses: Callable, params: Arrays, dtype: str, batch, module) -> tuple[dict, dict]:
    leaves = {name: _tensor(value, dtype).requires_grad_() for name, value in params.items()}
    if module is None:
        argument = dict(leaves)  # what a function does to its mapping stays there
    else:
        argument = copy.deepcopy(module).to(getattr(torch, dtype))
        leaves = dict(argument.named_parameters())
        for name, leaf in leaves.items():
            leaf.data = _tensor(params[name], dtype)
    given = (argument,) if batch is None else (argument, {name: _tensor(value, dtype) for name, value in batch.items()})
    found = losses(*given)
    checked(found, "torch", dtype, lambda value: (tuple(value.shape), str(value.dtype).removeprefix("torch.")))
    return found, leaves


def _grad(value, leaves: dict, **options) -> dict:
    wanted = [leaf for leaf in leaves.values() if leaf.requires_grad]
    if not isinstance(value, torch.Tensor) or not value.requires_grad or not wanted:
        return dict.fromkeys(leaves)
    grads = iter(torch.autograd.grad(value, wanted, allow_unused=True, **options))
    return {name: next(grads) if leaf.requires_grad else None for name, leaf in leaves.items()}


def _floats(found: dict) -> dict[str, float]:
    return {name: value.item() for name, value in found.items()}


def _numpy(grads: dict) -> dict:
    return {loss: {name: as_numpy(g) for name, g in grad.items()} for loss, grad in grads.items()}


def _tensor(value: np.ndarray, dtype: str) -> torch.Tensor:
    tensor = torch.tensor(np.array(value))
    if tensor.is_complex():
        return tensor.to(torch.complex128 if dtype == "float64" else torch.complex64)
    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
