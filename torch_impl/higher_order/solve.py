"""Linear systems in the Hessian, by Hessian-vector products alone, and three uses of them."""

from collections.abc import Callable

import torch
from torch import Tensor, autograd

from torch_impl.first_order.tree import constants, grad
from torch_impl.higher_order.tree import (
    alike,
    at_least,
    differentiable,
    floating,
    inner,
    ravel,
    recording,
    scalar,
    whole,
)
from torch_impl.models.losses import Params

Loss = Callable[[Params], Tensor]


def inverse_hvp(
    loss: Loss, params: Params, vector: Params, damping: float = 0.0, tolerance: float = 1e-12, steps: int = 1000
) -> Params:
    """(H + damping I)^-1 vector by conjugate gradients; one recorded gradient serves every product.

    `create_graph` records the gradient once, `retain_graph` pulls through it at each step. Ends when the residual is
    below `tolerance` of the vector; ValueError where `steps` do not suffice or a direction shows that the matrix is not
    positive definite.
    """
    at_least(0, damping=damping)
    whole(1, steps=steps)
    if not tolerance > 0:
        raise ValueError(f"`tolerance` must be above 0 (got {tolerance:g}): conjugate gradients end below it")
    alike("vector", vector, params)
    recording(params)
    value = scalar("loss", loss(params))
    gradient = grad(value, params, create_graph=True, materialize_grads=True)

    def product(v: Tensor) -> Tensor:
        hv = grad(inner(gradient, unravel(v)), params, retain_graph=True, materialize_grads=True)
        return ravel(hv)[0] + damping * v

    b, unravel = ravel(constants(vector))
    x, r, p = torch.zeros_like(b), b, b
    square, stiffest = r @ r, 0.0
    limit = tolerance**2 * square
    for _ in range(steps):
        if square <= limit:
            return unravel(x)
        q = product(p)
        curvature, length = p @ q, p @ p
        stiffest = max(stiffest, (curvature / length).item())
        if not curvature > torch.finfo(b.dtype).eps * stiffest * length:
            raise ValueError(
                f"`loss` has curvature {curvature / length:.1e} along a search direction, so the Hessian plus "
                f"`damping` is singular, indefinite or not finite: raise `damping` (got {damping:g})"
            )
        step = square / curvature
        x, r = x + step * p, r - step * q
        square, before = r @ r, square
        p = r + (square / before) * p
    if square <= limit:
        return unravel(x)
    raise ValueError(
        f"`steps` = {steps} of conjugate gradients leave a residual of {(square / (b @ b)) ** 0.5:.1e} of `vector`, "
        f"above `tolerance` = {tolerance:g}: raise `steps` or `damping` (got {damping:g})"
    )


def newton(loss: Loss, params: Params, steps: int) -> Params:
    """`steps` of Newton's method, undamped, each a gradient and one `inverse_hvp`: to the minimum from near it.

    One step serves a quadratic loss. From afar they may lead away, for a convex loss too.
    """
    whole(0, steps=steps)
    differentiable(params)
    for _ in range(steps):
        params = {name: p.detach().requires_grad_() for name, p in params.items()}
        step = inverse_hvp(loss, params, grad(scalar("loss", loss(params)), params, materialize_grads=True))
        params = {name: (p - step[name]).detach().requires_grad_() for name, p in params.items()}
    return params


def influence(objective: Loss, each: Callable[[Params], Tensor], test: Loss, params: Params) -> Tensor:
    """How much the test loss would rise if one example were left out of the mean in `objective`, for each example.

    grad test . H^-1 grad each[i] / n: one solve for the test loss, then one forward-mode pass gives all n (n,).
    `params` minimises `objective`; `each(params)` (n,) are the examples' losses.
    """
    solved = inverse_hvp(objective, params, grad(scalar("test", test(params)), params, materialize_grads=True))
    _, slopes = torch.func.jvp(each, (constants(params),), (solved,))
    if slopes.ndim != 1:
        raise ValueError(f"`each` must give a loss for each example, in one row (got shape {list(slopes.shape)})")
    return slopes / len(slopes)


def implicit_gradient(
    objective: Callable[[Params, Tensor], Tensor], test: Loss, params: Params, strength: Tensor
) -> Tensor:
    """The derivative of the test loss at the minimum with respect to a regulariser's strength: -grad test . H^-1 m.

    m is the mixed derivative of `objective(params, strength)`. The descent that found `params` is not differentiated:
    only where it ended matters, so no graph of it is kept.
    """
    floating("strength", strength)
    if strength.ndim:
        raise ValueError(f"`strength` must be a scalar (got shape {list(strength.shape)})")
    slope = grad(scalar("test", test(params)), params, materialize_grads=True)
    solved = inverse_hvp(lambda p: objective(p, strength), params, slope)
    strength = strength.detach().requires_grad_()
    gradient = grad(objective(params, strength), params, create_graph=True, materialize_grads=True)
    return -autograd.grad(inner(gradient, solved), strength)[0]
