"""Linear systems in the Hessian, by Hessian-vector products alone, and three uses of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from jax_impl.higher_order.tree import alike, at_least, differentiable, floating, inner, scalar, whole
from jax_impl.models.losses import Params

Loss = Callable[[Params], Array]


def inverse_hvp(
    loss: Loss, params: Params, vector: Params, damping: float = 0.0, tolerance: float = 1e-12, steps: int = 1000
) -> Params:
    """(H + damping I)^-1 vector by conjugate gradients; one linearised gradient serves every product.

    `linearize` runs the gradient once and gives the product as a function. Ends when the residual is below
    `tolerance` of the vector; ValueError where `steps` do not suffice or a direction shows that the matrix is not
    positive definite. Not for use inside `jit`: whether it converged is known only when it has run.
    """
    at_least(0, damping=damping)
    whole(1, steps=steps)
    if not tolerance > 0:
        raise ValueError(f"`tolerance` must be above 0 (got {tolerance:g}): conjugate gradients end below it")
    alike("vector", vector, params)
    _, hvp = jax.linearize(jax.grad(lambda p: scalar("loss", loss(p))), params)
    b, unravel = ravel_pytree(vector)

    @jax.jit
    def product(v: Array) -> Array:
        return ravel_pytree(hvp(unravel(v)))[0] + damping * v

    x, r, p = jnp.zeros_like(b), b, b
    square, stiffest = r @ r, 0.0
    limit = tolerance**2 * square
    for _ in range(steps):
        if square <= limit:
            return unravel(x)
        q = product(p)
        curvature, length = p @ q, p @ p
        stiffest = max(stiffest, (curvature / length).item())
        if not curvature > jnp.finfo(b.dtype).eps * stiffest * length:
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
        step = inverse_hvp(loss, params, jax.grad(lambda p: scalar("loss", loss(p)))(params))
        params = jax.tree.map(jnp.subtract, params, step)
    return params


def influence(objective: Loss, each: Callable[[Params], Array], test: Loss, params: Params) -> Array:
    """How much the test loss would rise if one example were left out of the mean in `objective`, for each example.

    grad test . H^-1 grad each[i] / n: one solve for the test loss, then one forward-mode pass gives all n (n,).
    `params` minimises `objective`; `each(params)` (n,) are the examples' losses.
    """
    solved = inverse_hvp(objective, params, jax.grad(lambda p: scalar("test", test(p)))(params))
    _, slopes = jax.jvp(each, (params,), (solved,))
    if slopes.ndim != 1:
        raise ValueError(f"`each` must give a loss for each example, in one row (got shape {list(slopes.shape)})")
    return slopes / len(slopes)


def implicit_gradient(
    objective: Callable[[Params, Array], Array], test: Loss, params: Params, strength: Array
) -> Array:
    """The derivative of the test loss at the minimum with respect to a regulariser's strength: -grad test . H^-1 m.

    m is the mixed derivative of `objective(params, strength)`. The descent that found `params` is not differentiated:
    only where it ended matters, so no residual of it is kept.
    """
    floating("strength", strength)
    if strength.ndim:
        raise ValueError(f"`strength` must be a scalar (got shape {list(strength.shape)})")
    solved = inverse_hvp(lambda p: objective(p, strength), params, jax.grad(lambda p: scalar("test", test(p)))(params))
    return -jax.grad(lambda s: inner(jax.grad(objective)(params, s), solved))(strength)
