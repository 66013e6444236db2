"""Curvature times a vector, one product for each loss: no Hessian is ever formed.

Each takes the losses, the parameters and a direction of the parameters' names and shapes. F is the forward's matrix
products; a gradient costs 3F. The parameters are leaves that require grad where a graph is recorded.
"""

import torch
from torch import Tensor

from torch_impl.first_order.tree import Gradient, add, constants, grad
from torch_impl.higher_order.composed import composed
from torch_impl.higher_order.tree import alike, checked, inner, recording, scalar
from torch_impl.models.losses import Losses, Params


def hvp_forward_over_reverse(losses: Losses, params: Params, direction: Params) -> dict[str, Params]:
    """The tangent of a gradient: all that the gradient computes carries its derivative along `direction`.

    9F: each of the gradient's 3F products becomes three. No graph outlives the call.
    """
    alike("direction", direction, params)
    params, direction = constants(params), constants(direction)
    gradients = torch.func.jacrev(checked(losses, params))
    with composed():
        _, products = torch.func.jvp(gradients, (params,), (direction,))
    return products


def hvp_reverse_over_forward(losses: Losses, params: Params, direction: Params) -> dict[str, Params]:
    """The gradient of a slope: forward mode gives K slopes along `direction`, and they are K new losses.

    8F: the forward's F becomes 3F, and the backward of the product with `direction` needs no gradient for it.
    """
    alike("direction", direction, params)
    params, direction = constants(params), constants(direction)
    scalars = checked(losses, params)

    def slopes(p: Params) -> dict[str, Tensor]:
        return torch.func.jvp(scalars, (p,), (direction,))[1]

    with composed():
        return torch.func.jacrev(slopes)(params)


def hvp_reverse_over_reverse(losses: Losses, params: Params, direction: Params) -> dict[str, Gradient]:
    """`create_graph` records the backward too; a second backward pulls `direction` through both recordings.

    9F: forward F, backward 2F, and 6F through them. What the first backward saved is held on top of the forward's.
    A loss that is linear in the parameters has a gradient without a graph: its product is None throughout. On the CPU
    weight normalisation is silently wrong here, unless the call stands inside `composed`.
    """
    alike("direction", direction, params)
    scalars = checked(losses, params)
    recording(params)
    values = scalars(params)
    last = list(values)[-1]
    products: dict[str, Gradient] = {}
    for name, value in values.items():
        slope = inner(grad(value, params, create_graph=True), constants(direction))
        known = slope.requires_grad
        products[name] = grad(slope, params, retain_graph=name != last) if known else dict.fromkeys(params)
    return products


def gauss_newton_vp(losses: Losses, params: Params, direction: Params) -> dict[str, Gradient]:
    """Curvature with the trunk replaced by its linearisation: J' H J, with J of the trunk and H of each head.

    Forward mode through the trunk gives J v, forward over reverse in the head gives H J v, one pull gives the rest.
    A head's own parameters keep their whole Hessian. Where heads hold none and are convex in the features (a trunk
    that ends at the outputs), this is the classical product and positive semidefinite.
    """
    alike("direction", direction, params)
    params, direction = constants(params), constants(direction)
    with composed():
        z, tangent = torch.func.jvp(losses.trunk, (params,), (direction,))
        _, pullback = torch.func.vjp(losses.trunk, params)
        products = {}
        for name, head in losses.heads.items():
            value = lambda p, z: scalar(f"losses.heads[{name!r}]", head(p, z))  # noqa: E731
            _, (direct, dz) = torch.func.jvp(torch.func.grad(value, (0, 1)), (params, z), (direction, tangent))
            products[name] = add(direct, *pullback(dz))
    return products
