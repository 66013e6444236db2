"""Gradient surgery: K losses' gradients become one, with weights found in their K x K inner products.

`combine(grads, upgrad(gramian(grads)))`. A rule never sees a parameter: whatever it does is a weight for each loss.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from torch_impl.first_order.tree import Gradient, add


def gramian(grads: Mapping[str, Gradient]) -> Tensor:
    """Two losses conflict where their gradients' inner product is negative; all the products, (K, K).

    In float32 at least. None adds nothing. `torch_impl.gram.gram` gives the same without forming the gradients.
    """
    zeros = {name: torch.zeros_like(g) for grad in grads.values() for name, g in grad.items() if g is not None}
    filled = [[zeros[name] if g is None else g for name, g in grad.items() if name in zeros] for grad in grads.values()]
    rows = torch.stack([torch.cat([g.flatten() for g in grad]) for grad in filled])
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return rows @ rows.T


def combine(grads: Mapping[str, Gradient], weights: Tensor) -> Gradient:
    """The gradient of the weighted sum of the losses, from their gradients; None where all of them are."""
    total: Gradient = dict.fromkeys(next(iter(grads.values())))
    for weight, grad in zip(weights, grads.values(), strict=True):
        total = add(total, {name: None if g is None else weight * g for name, g in grad.items()})
    return total


def pcgrad(gram: Tensor, order: Sequence[Sequence[int]] | None = None) -> Tensor:
    """Each gradient loses its part against every other that it conflicts with, one after the other; then they add up.

    `order[i]` lists the losses as gradient i meets them (by default as they stand; the paper draws it each step). A
    later projection can bring an earlier conflict back. Yu et al., 2020, arXiv:2001.06782.
    """
    every, weights = range(len(gram)), torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for i in every:
        for j in every if order is None else order[i]:
            if j != i:
                conflict = (weights[i] @ gram[j]).clamp(max=0)
                weights[i, j] -= conflict / _nonzero(gram[j, j])
    return weights.sum(0)


def upgrad(gram: Tensor, sweeps: int = 1000) -> Tensor:
    """Each gradient moves the least distance after which it opposes no loss: `pcgrad`'s sweep, until it stands still.

    A sweep may also take back what an earlier one added, and they end at the projection on the dual cone (Hildreth's
    method; near-parallel conflicts take many). The moved gradients add up; the paper takes their mean. Quinton and
    Rey, 2024, arXiv:2406.16232. ValueError where it still moves after `sweeps`.
    """
    own = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    added = torch.zeros_like(gram)
    for _ in range(sweeps):
        before = added.clone()
        for j in range(len(gram)):
            inner = (own + added) @ gram[j]
            added[:, j] = (added[:, j] - inner / _nonzero(gram[j, j])).clamp(min=0)
        if not (added - before).abs().max() > _rounding(gram) * added.abs().max():
            return (own + added).sum(0)
    raise ValueError(f"`sweeps` = {sweeps} leave the weights moving, as where gradients are near to opposite: raise it")


def mgda(gram: Tensor, steps: int = 1000) -> Tensor:
    """The shortest convex combination of the gradients: no loss's gradient has a smaller part along it than its square.

    Each step moves weight from the loss that descends most to the one that descends least, as far as the line allows
    (pairwise Frank-Wolfe). Zero only where no direction helps every loss. Desideri, 2012; Sener and Koltun, 2018.
    """
    weights = torch.full_like(gram[0], 1 / len(gram))
    for _ in range(steps):
        inner = gram @ weights
        least, most = inner.argmin(), torch.where(weights > 0, inner, -torch.inf).argmax()
        gap = inner[most] - inner[least]
        if gap <= _rounding(gram) * gram.diagonal().max():
            break
        curvature = gram[least, least] + gram[most, most] - 2 * gram[least, most]
        step = torch.minimum(gap / _nonzero(curvature), weights[most])
        weights[least] += step
        weights[most] -= step
    return weights


def _nonzero(x: Tensor) -> Tensor:
    """A loss with no gradient conflicts with none: 0 / tiny = 0."""
    return x.clamp(min=torch.finfo(x.dtype).tiny)


def _rounding(x: Tensor) -> float:
    return 32 * torch.finfo(x.dtype).eps
