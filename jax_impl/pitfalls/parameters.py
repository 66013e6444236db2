"""What goes wrong with parameters that a loss does not touch: zeros where there was nothing."""

import jax
import jax.numpy as jnp
import optax
from jax import Array


def unused_parameter(used: Array, unused: Array) -> tuple[Array, Array]:
    """A parameter that the loss does not reach has a gradient of zeros; nothing says that it was not reached."""
    return jax.grad(lambda used, unused: (used**2).sum(), (0, 1))(used, unused)


def unused_step(used: Array, unused: Array) -> Array:
    """The second loss does not touch `unused`, and AdamW moves it: momentum and decay run on zeros."""
    optimizer = optax.adamw(0.1, weight_decay=0.1)
    params = (used, unused)
    state = optimizer.init(params)
    for loss in (lambda p: (p[0] * p[1]).sum(), lambda p: (p[0] ** 2).sum()):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    return params[1]


def unused_step_fixed(used: Array, unused: Array) -> Array:
    """Say which parameters a loss moves, and let the others keep their value: what PyTorch does."""
    optimizer = optax.adamw(0.1, weight_decay=0.1)
    params = (used, unused)
    state = optimizer.init(params)
    losses = ((lambda p: (p[0] * p[1]).sum(), (True, True)), (lambda p: (p[0] ** 2).sum(), (True, False)))
    for loss, touches in losses:
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        updates = tuple(u if touched else jnp.zeros_like(u) for u, touched in zip(updates, touches, strict=True))
        params = optax.apply_updates(params, updates)
    return params[1]


def no_zero_grad(w: Array, x: Array) -> Array:
    """Each `grad` returns its own value: there is nothing to clear, and nothing adds up unasked."""
    for row in x:
        grad = jax.grad(lambda w, row=row: (row * w).sum())(w)
    return grad
