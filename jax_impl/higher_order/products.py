"""Curvature times a vector, one product for each loss: no Hessian is ever formed.

Each takes the losses, the parameters and a direction of the parameters' structure. F is the forward's matrix
products; a gradient costs 3F. Inside one `jit` what nobody reads is not computed, and all three modes come to 8F.
"""

import jax
from jax import Array

from jax_impl.first_order.tree import add
from jax_impl.higher_order.tree import alike, checked, inner, scalar
from jax_impl.models.losses import Losses, Params


def hvp_forward_over_reverse(losses: Losses, params: Params, direction: Params) -> dict[str, Params]:
    """The tangent of a gradient: all that the gradient computes carries its derivative along `direction`.

    9F: each of the gradient's 3F products becomes three. Residuals live as long as the gradient's own.
    """
    alike("direction", direction, params)
    gradients = jax.jacrev(checked(losses, params))
    _, products = jax.jvp(gradients, (params,), (direction,))
    return products


def hvp_reverse_over_forward(losses: Losses, params: Params, direction: Params) -> dict[str, Params]:
    """The gradient of a slope: forward mode gives K slopes along `direction`, and they are K new losses.

    8F: the forward's F becomes 3F, and the backward of the product with `direction` needs no gradient for it.
    """
    alike("direction", direction, params)
    scalars = checked(losses, params)

    def slopes(p: Params) -> dict[str, Array]:
        return jax.jvp(scalars, (p,), (direction,))[1]

    return jax.jacrev(slopes)(params)


def hvp_reverse_over_reverse(losses: Losses, params: Params, direction: Params) -> dict[str, Params]:
    """`grad` of `grad`: the inner products of the gradients with `direction` are K new losses.

    9F: forward F, backward 2F, and 6F through them. What the first backward leaves for the second is held on top of
    the forward's. There is no flag: that the inner gradient is differentiable follows from where it stands.
    """
    alike("direction", direction, params)
    gradients = jax.jacrev(checked(losses, params))

    def slopes(p: Params) -> dict[str, Array]:
        return {name: inner(gradient, direction) for name, gradient in gradients(p).items()}

    return jax.jacrev(slopes)(params)


def gauss_newton_vp(losses: Losses, params: Params, direction: Params) -> dict[str, Params]:
    """Curvature with the trunk replaced by its linearisation: J' H J, with J of the trunk and H of each head.

    Forward mode through the trunk gives J v, forward over reverse in the head gives H J v, one pull gives the rest.
    A head's own parameters keep their whole Hessian. Where heads hold none and are convex in the features (a trunk
    that ends at the outputs), this is the classical product and positive semidefinite.
    """
    alike("direction", direction, params)
    z, tangent = jax.jvp(losses.trunk, (params,), (direction,))
    _, pullback = jax.vjp(losses.trunk, params)
    products = {}
    for name, head in losses.heads.items():
        value = lambda p, z: scalar(f"losses.heads[{name!r}]", head(p, z))  # noqa: E731
        _, (direct, dz) = jax.jvp(jax.grad(value, (0, 1)), (params, z), (direction, tangent))
        products[name] = add(direct, *pullback(dz))
    return products
