"""What goes wrong with `jit`: buffers that were given away, and programs that are compiled again and again."""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array


def compiled_second_order(w: Array) -> Array:
    """`jit` and `grad` compose in any order, to any depth."""

    @jax.jit
    def loss(w):
        return (jnp.sin(w) * jnp.exp(w)).sum()

    return jax.jit(jax.grad(lambda w: loss(w) + (jax.grad(loss)(w) ** 2).sum()))(w)


def donated_buffers(w: Array) -> Array:
    """What `donate_argnums` gave away is deleted: reading it raises, on the CPU too."""
    step = jax.jit(lambda w, grad: w - 0.1 * grad, donate_argnums=0)
    step(w, jnp.ones_like(w))
    return w + 1


def donated_buffers_fixed(w: Array) -> Array:
    """Bind the result to the donated name, so that nothing can read the old one."""
    step = jax.jit(lambda w, grad: w - 0.1 * grad, donate_argnums=0)
    w = step(w, jnp.ones_like(w))
    return w + 1


def recompiled(w: Array, counts: Iterable[int], traced: list[int]) -> None:
    """One program per number of losses, and one per fresh closure, even where K stays the same."""

    def total(rows: Array) -> Callable:
        def loss(w):
            traced.append(len(rows))
            return (rows @ w).sum()

        return loss

    for count in counts:
        jax.jit(jax.grad(total(jnp.ones((count, w.size)))))(w)


def recompiled_fixed(w: Array, counts: Iterable[int], traced: list[int], largest: int) -> None:
    """One function for the whole program, the losses as an argument of one shape: unused rows have weight zero."""

    @jax.jit
    def grad(w, rows):
        traced.append(len(rows))
        return jax.grad(lambda w: (rows @ w).sum())(w)

    for count in counts:
        grad(w, jnp.ones((largest, w.size)) * (jnp.arange(largest) < count)[:, None])


def miscompiled(xs: Array, w: Array, u: Array) -> Array:
    """Both losses' gradients by one batched pull through a `scan`: jaxlib 0.10.2 gets them wrong on some CPUs.

    On those with AVX-512, in float64, where the gates are split: a fault of XLA's fusions, which 0.11.2 does not have.
    """
    return jax.jacrev(lambda w: _two_losses(xs, w, u))(w)


def miscompiled_fixed(xs: Array, w: Array, u: Array) -> Array:
    """One pull for each loss; a second strategy is what shows such a fault."""
    return jnp.stack([jax.grad(lambda w: _two_losses(xs, w, u)[k])(w) for k in range(2)])


def _two_losses(xs: Array, w: Array, u: Array) -> Array:
    def step(h, x):
        candidate, gate = jnp.split(x @ w + h @ u, 2, -1)
        h = jnp.tanh(candidate) * jax.nn.sigmoid(gate)
        return h, h

    _, hs = jax.lax.scan(step, jnp.zeros((xs.shape[1], u.shape[0])), xs)
    return jnp.stack([hs.sum(), (hs**2).mean()])
