"""What is asked of K gradients without forming them."""

import torch
from torch import Tensor

from torch_impl.first_order.tree import CUT, constants, grad
from torch_impl.models.losses import Losses, Params


def directional(losses: Losses, params: Params, direction: Params) -> dict[str, Tensor]:
    """One forward-mode pass gives every loss's derivative along `direction`: K numbers, and nothing is saved.

    A dual number carries the tangent through the trunk once; `autograd` with K losses would need K backwards.
    """
    _, tangents = torch.func.jvp(losses, (constants(params),), (constants(direction),))
    return tangents


def feature_gradients(losses: Losses, params: Params) -> dict[str, Tensor]:
    """Each loss's gradient with respect to the shared features, of their shape: the trunk is never differentiated.

    K x batch x features numbers instead of K x parameters, enough for several weighting methods.
    """
    with torch.no_grad():
        z = losses.trunk(params)
    cut = {CUT: z.detach().requires_grad_()}
    return {n: grad(head(params, cut[CUT]), cut, materialize_grads=True)[CUT] for n, head in losses.heads.items()}
