"""What goes wrong, or cannot, between one pull and the next."""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array


def second_backward(w: Array, x: Array) -> tuple[Array, Array]:
    """Nothing is released: a pullback is a value, and answers as often as it is asked."""
    _, pullback = jax.vjp(lambda w: (x @ w).sum(), w)
    return pullback(1.0)[0], pullback(1.0)[0]


def in_place_step(v: Array, w: Array, x: Array, rate: float) -> tuple[Array, Array]:
    """A step between two pulls goes unnoticed: the second answers at the point where the pullback was made."""
    _, pullback = jax.vjp(lambda v, w: _two_losses(v, w, x), v, w)
    dv, dw = pullback((1.0, 0.0))
    v, w = v - rate * dv, w - rate * dw
    return pullback((0.0, 1.0))


def in_place_step_fixed(v: Array, w: Array, x: Array, rate: float) -> tuple[Array, Array]:
    """A new point needs a new pullback."""
    _, pullback = jax.vjp(lambda v, w: _two_losses(v, w, x), v, w)
    dv, dw = pullback((1.0, 0.0))
    v, w = v - rate * dv, w - rate * dw
    _, pullback = jax.vjp(lambda v, w: _two_losses(v, w, x), v, w)
    return pullback((0.0, 1.0))


def _two_losses(v: Array, w: Array, x: Array) -> tuple[Array, Array]:
    y = jnp.tanh(x @ v) @ w
    return y.sum(), (y**2).sum()


def undetached_state(w: Array, inputs: Iterable[Array]) -> Array:
    """The state is an argument and comes back as a value: no graph is carried, each step's gradient is its own."""

    def step(w, h, x):
        h = jnp.tanh(w * h + x)
        return h.sum(), h

    total, h = jnp.zeros_like(w), jnp.ones_like(w)
    for x in inputs:
        grad, h = jax.grad(step, has_aux=True)(w, h, x)
        total += grad
    return total


def kept_losses(w: Array, inputs: Iterable[Array]) -> tuple[list[Array], list[Callable]]:
    """A list of losses is a list of numbers; it is a list of pullbacks that keeps the residuals."""
    losses, pullbacks = [], []
    for x in inputs:
        loss, pullback = jax.vjp(lambda w, x=x: jnp.tanh(x * w).sum(), w)
        losses.append(loss)
        pullbacks.append(pullback)
    return losses, pullbacks
