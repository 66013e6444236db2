"""Gradient surgery: K losses' gradients become one, with weights found in their K x K inner products.

`combine(grads, upgrad(gramian(grads)))`. A rule never sees a parameter: whatever it does is a weight for each loss.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from torch_impl.models.losses import Params


def gramian(grads: Mapping[str, Params]) -> Tensor:
    """Two losses conflict where their gradients' inner product is negative; all the products, (K, K).

    `torch_impl.gram.gram` gives the same without forming the gradients.
    """
    for loss, grad in grads.items():
        for name, g in grad.items():
            if g is None:
                raise ValueError(f"`grads` has None for d {loss} / d {name}: take it with `materialize_grads=True`")
    rows = torch.stack([torch.cat([g.flatten() for g in grad.values()]) for grad in grads.values()])
    return rows @ rows.T


def combine(grads: Mapping[str, Params], weights: Tensor) -> Params:
    """The gradient of the weighted sum of the losses, from their gradients."""
    names = next(iter(grads.values()))
    return {n: sum(w * grad[n] for w, grad in zip(weights, grads.values(), strict=True)) for n in names}


def pcgrad(gram: Tensor, order: Sequence[Sequence[int]] | None = None) -> Tensor:
    """Each gradient loses its part against every other that it conflicts with, one after the other; then they add up.

    `order[i]` lists the losses as gradient i meets them (by default as they stand; the paper draws it each step). A
    later projection can bring an earlier conflict back. Yu et al., 2020, arXiv:2001.06782.
    """
    every, weights = range(len(gram)), torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for i in every:
        for j in order[i] if order else every:
            if j != i:
                conflict = (weights[i] @ gram[j]).clamp(max=0)
                weights[i, j] -= conflict / _nonzero(gram[j, j])
    return weights.sum(0)


def upgrad(gram: Tensor, sweeps: int = 1000) -> Tensor:
    """Each gradient moves the least distance after which it opposes no loss: `pcgrad`'s sweep, until it stands still.

    A sweep may also take back what an earlier one added, and they end at the projection on the dual cone (Hildreth's
    method; near-parallel conflicts take many). The moved gradients add up; the paper takes their mean. Quinton and
    Rey, 2024, arXiv:2406.16232.
    """
    own = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    added = torch.zeros_like(gram)
    for _ in range(sweeps):
        before = added.clone()
        for j in range(len(gram)):
            inner = (own + added) @ gram[j]
            added[:, j] = (added[:, j] - inner / _nonzero(gram[j, j])).clamp(min=0)
        if (added - before).abs().max() <= _rounding(gram) * added.abs().max():
            break
    return (own + added).sum(0)


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
