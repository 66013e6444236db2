"""One gradient for each of K losses."""

import torch

from torch_impl.first_order.tree import Gradient, add, constants, grad, head_grad, one_hot, unstack
from torch_impl.models.losses import Losses, Params


def per_loss_retained(losses: Losses, params: Params) -> dict[str, Gradient]:
    """One graph, K backwards: the trunk's saved tensors are kept until the last loss has used them.

    Each backward visits its own head and the trunk. `retain_graph` keeps what the forward saved; it stores nothing new.
    """
    values = losses(params)
    last = list(values)[-1]
    return {name: grad(value, params, retain_graph=name != last) for name, value in values.items()}


def per_loss_recomputed(losses: Losses, params: Params) -> dict[str, Gradient]:
    """K graphs, one after the other: a fresh forward for each loss, and nothing is retained.

    Each pays for the trunk's forward again and runs its own head only.
    """
    return {name: grad(head(params, losses.trunk(params)), params) for name, head in losses.heads.items()}


def per_loss_one_hot(losses: Losses, params: Params) -> dict[str, Gradient]:
    """K backwards through the stacked losses, each with a one-hot cotangent.

    Every backward visits every head and multiplies the others by zero, so K^2 heads are paid for, and zero times an
    infinity in one head is a NaN in every loss's gradient.
    """
    values = losses(params)
    stacked, rows = one_hot(values)
    last = list(values)[-1]
    return {name: grad(stacked, params, row, retain_graph=name != last) for name, row in zip(values, rows, strict=True)}


def per_loss_batched(losses: Losses, params: Params) -> dict[str, Gradient]:
    """One backward carries all K cotangents: the rows of an identity matrix, under `vmap`.

    K small products become one large one. Every row visits every head, as in `per_loss_one_hot`.
    """
    values = losses(params)
    stacked, rows = one_hot(values)
    return unstack(values, grad(stacked, params, rows, is_grads_batched=True))


def per_loss_chunked(losses: Losses, params: Params, chunk: int = 2) -> dict[str, Gradient]:
    """Batched, `chunk` cotangents at a time: what a backward takes beyond its results does not grow with K.

    The graph does: all K heads' saved tensors are there until the last backward. `chunk=1` takes one row at a time,
    `chunk=K` is `per_loss_batched`.
    """
    if chunk < 1:
        raise ValueError(f"`chunk` must be at least 1 (got {chunk}): it is the number of losses in one backward")
    values = losses(params)
    names, (stacked, rows) = list(values), one_hot(values)
    grads: dict[str, Gradient] = {}
    for k in range(0, len(names), chunk):
        found = grad(stacked, params, rows[k : k + chunk], is_grads_batched=True, retain_graph=k + chunk < len(names))
        grads |= unstack(names[k : k + chunk], found)
    return grads


def per_loss_split(losses: Losses, params: Params) -> dict[str, Gradient]:
    """Heads one by one on a cut feature, then the trunk once, with all K cotangents batched.

    No head is visited for another's sake, and no other head's infinity reaches a gradient: the batched backward
    begins at the features.
    """
    z = losses.trunk(params)
    direct, dz = {}, []
    for name, head in losses.heads.items():
        direct[name], dfeature = head_grad(head, params, z)
        dz.append(dfeature)
    through = unstack(direct, grad(z, params, torch.stack(dz), is_grads_batched=True))
    return {name: add(direct[name], through[name]) for name in direct}


def per_loss_functional(losses: Losses, params: Params) -> dict[str, Gradient]:
    """`torch.func.jacrev` of a dict of losses: JAX's own words inside PyTorch, with no graph to retain.

    The cotangents are batched, as in `per_loss_batched`. `constants`, because leaves that require grad would have the
    whole of it recorded once more, by autograd, and the gradients would hold that graph.
    """
    return torch.func.jacrev(losses)(constants(params))
