"""What K losses cost when K grows: one pull for all of them, or some at a time."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.memory.held import residuals
from jax_impl.memory.peak import peak
from jax_impl.models.losses import Losses, Params


def light(count: int, x: Array) -> tuple[Losses, Params]:
    """K losses with heads of one vector each, on two tanh layers: the trunk is nearly all there is to hold."""
    width = x.shape[1]

    def trunk(p: Params) -> Array:
        return jnp.tanh(jnp.tanh(x @ p["a"]) @ p["b"])

    def head(k: int, p: Params, z: Array) -> Array:
        return (z @ p["heads"][k]).sum()

    sizes = {"a": (width, width), "b": (width, width), "heads": (count, width)}
    params = {name: jnp.zeros(size) for name, size in sizes.items()}
    return Losses(trunk, {f"loss{k}": partial(head, k) for k in range(count)}), params


def as_losses_grow(strategy: Callable, x: Array, counts: tuple[int, ...] = (4, 8)) -> dict[str, int]:
    """All losses at once need room for K cotangents, a chunk of them for a chunk's; what a pullback holds is the same.

    For each K: what is held, and the scratch planned beyond the K gradients themselves (the plan's peak less arguments
    and outputs). `per_loss_chunked` is a loop that stacks its K gradients before it hands them out.
    """
    figures = {}
    for count in counts:
        _, params = light(count, x)
        kept = residuals(light(count, x)[0], params)
        figures[f"held, K = {count}"] = sum(array.bytes for array in kept if array.kind == "activation")
        plan = peak(jax.jit(lambda params, x: strategy(light(count, x)[0], params)), params, x)
        gradients = count * sum(p.nbytes for p in params.values())
        figures[f"beyond, K = {count}"] = plan.temp - plan.alias - gradients
    return figures
