"""A loss at the end of a descent: model-agnostic meta-learning."""

from collections.abc import Callable
from numbers import Real

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.higher_order.network import mlp
from jax_impl.higher_order.tree import at_least, differentiable, scalar, whole
from jax_impl.models.losses import Batch, Params


def maml(
    loss: Callable[[Params, Batch], Array],
    params: Params,
    support: Batch,
    query: Batch,
    steps: int,
    rate: float,
    second_order: bool = True,
) -> Array:
    """The query loss after `steps` of gradient descent on the support loss, as a function of where descent began.

    The descent is a `scan` over gradients, so the outer gradient goes back through it: a Hessian product a step.
    `stop_gradient` makes the inner gradients constants, and what is left is first-order MAML.
    """
    whole(0, steps=steps)
    if isinstance(rate, Real):  # else it is learned too, and known only when it has run
        at_least(0, rate=rate)
    differentiable(params)

    def descend(p: Params, _):
        gradient = jax.grad(lambda p: scalar("loss", loss(p, support)))(p)
        gradient = gradient if second_order else jax.lax.stop_gradient(gradient)
        return jax.tree.map(lambda p, g: p - rate * g, p, gradient), None

    params, _ = jax.lax.scan(descend, params, length=steps)
    return scalar("loss", loss(params, query))


def sine_loss(params: Params, task: Batch) -> Array:
    """Mean squared error of the network on one sine: x (points, 1), y (points,)."""
    return jnp.square(mlp(params, task["x"]) - task["y"]).mean()
