"""What goes wrong with parameters that a loss does not touch: zeros where there was nothing."""

import jax
import optax
from jax import Array


def unused_parameter(used: Array, unused: Array) -> tuple[Array, Array]:
    """A parameter that the loss does not reach has a gradient of zeros; nothing says that it was not reached."""
    return jax.grad(lambda used, unused: (used**2).sum(), (0, 1))(used, unused)


def unused_step(used: Array, unused: Array) -> list[Array]:
    """The second loss does not touch `unused`, and AdamW moves it: momentum and decay run on zeros."""
    optimizer = optax.adamw(0.1, weight_decay=0.1)
    params = (used, unused)
    state, after = optimizer.init(params), []
    for loss in (lambda p: (p[0] * p[1]).sum(), lambda p: (p[0] ** 2).sum(), lambda p: (p[0] * p[1]).sum()):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        after.append(params[1])
    return after


def unused_step_fixed(used: Array, unused: Array) -> list[Array]:
    """A state for each parameter, and updates of those alone that a loss touches: what PyTorch does.

    A mask over the updates would keep the value, and move the momentum and the count of steps.
    """
    optimizer = optax.adamw(0.1, weight_decay=0.1)
    params = [used, unused]
    states, after = [optimizer.init(p) for p in params], []
    both, one = (lambda p: (p[0] * p[1]).sum(), (0, 1)), (lambda p: (p[0] ** 2).sum(), (0,))
    for loss, touched in (both, one, both):
        grads = jax.grad(loss)(params)
        for k in touched:
            updates, states[k] = optimizer.update(grads[k], states[k], params[k])
            params[k] = optax.apply_updates(params[k], updates)
        after.append(params[1])
    return after


def no_zero_grad(w: Array, x: Array) -> Array:
    """Each `grad` returns its own value: there is nothing to clear, and nothing adds up unasked."""
    for row in x:
        grad = jax.grad(lambda w, row=row: (row * w).sum())(w)
    return grad
