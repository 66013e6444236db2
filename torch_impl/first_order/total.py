"""The gradient of the sum of K losses."""

import torch
from torch.utils.checkpoint import checkpoint

from torch_impl.first_order.tree import Gradient, add, grad, head_grad
from torch_impl.models.losses import Losses, Params


def summed(losses: Losses, params: Params) -> dict[str, Gradient]:
    """One backward through the sum visits the trunk once, however many losses there are.

    The K heads' cotangents meet at the features and go through the trunk as one. Saved tensors are released as the
    backward passes them.
    """
    return {"total": grad(sum(losses(params).values()), params)}


def summed_checkpointed(losses: Losses, params: Params) -> dict[str, Gradient]:
    """The trunk keeps no activation: it runs a second time, inside the backward.

    `torch.utils.checkpoint` saves the trunk's inputs alone and recomputes the rest when the backward arrives.
    """
    z = checkpoint(losses.trunk, params, use_reentrant=False)
    return {"total": grad(sum(head(params, z) for head in losses.heads.values()), params)}


def summed_split(losses: Losses, params: Params) -> dict[str, Gradient]:
    """Only one head is alive at a time: each is differentiated on a cut feature, then the trunk once.

    Their cotangents add up in one tensor of the features' size, so the peak holds the largest head and not all K.
    """
    z = losses.trunk(params)
    direct, dz = dict.fromkeys(params), torch.zeros_like(z)
    for head in losses.heads.values():
        dparams, dfeature = head_grad(head, params, z)
        direct, dz = add(direct, dparams), dz + dfeature
    return {"total": add(direct, grad(z, params, dz))}


def accumulated(losses: Losses, params: Params) -> dict[str, Gradient]:
    """Each `backward` adds into `.grad`, in place: K backwards leave the gradient of the sum.

    The graph is retained for all but the last. What `.grad` held before is dropped, and it is what is returned: the
    next call does not change it, a later `backward` of the caller's own does.
    """
    for p in params.values():
        p.grad = None
    values = losses(params)
    last = list(values)[-1]
    for name, value in values.items():
        value.backward(retain_graph=name != last)
    return {"total": {name: p.grad for name, p in params.items()}}
