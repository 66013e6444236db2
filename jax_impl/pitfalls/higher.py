"""What cannot go wrong when a gradient is differentiated again, and what still does when it is clipped on the way."""

import jax
import jax.numpy as jnp
from jax import Array


def create_graph_cycle(w: Array) -> Array:
    """A gradient is a value without a graph: `grad` of `grad` leaves nothing behind."""
    return jax.grad(lambda w: jax.grad(lambda w: (w**3).sum())(w).sum())(w)


def second_order(w: Array) -> Array:
    """`grad` inside `grad` is differentiated like everything else: no flag to forget."""

    def loss(w):
        return (w**3).sum()

    return jax.grad(lambda w: loss(w) + (jax.grad(loss)(w) ** 2).sum())(w)


def second_order_silent(w: Array) -> Array:
    """The same silence, when a gradient from outside the trace is used: a constant, whose gradient is not there."""

    def loss(w):
        return (w**3).sum()

    grad = jax.grad(loss)(w)
    return jax.grad(lambda w: loss(w) + (grad**2).sum())(w)


def retain_grad_batched(w: Array) -> Array:
    """An intermediate's gradient is the cotangent that its own pullback is given: one row a loss."""
    z = jnp.tanh(w)
    return jnp.stack([jax.grad(lambda z: z.sum())(z), jax.grad(lambda z: (z**2).sum())(z)])


@jax.custom_vjp
def _clamped(z: Array) -> Array:
    """The identity, whose cotangent is clamped at 1."""
    return z


_clamped.defvjp(lambda z: (z, None), lambda _, cotangent: (jnp.minimum(cotangent, 1.0),))


def hook_per_backward(w: Array) -> Array:
    """A `custom_vjp` is JAX's hook, and it too runs once per pull: clamping each loss is not clamping the sum."""
    z, pullback = jax.vjp(_clamped, w)
    return pullback(2 * jnp.ones_like(z))[0] + pullback(3 * jnp.ones_like(z))[0]


def hook_per_backward_fixed(w: Array) -> Array:
    """One pull of the summed cotangents."""
    z, pullback = jax.vjp(_clamped, w)
    return pullback(5 * jnp.ones_like(z))[0]


def scaled_losses(w: Array, scale: float) -> Array:
    """Scaling is arithmetic on values: scale the losses, unscale their gradients, as often as you like."""
    grads = [jax.grad(lambda w, k=k: scale * (k * w).sum())(w) / scale for k in (2, 3)]
    return grads[0] + grads[1]
