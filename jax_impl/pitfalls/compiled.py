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
