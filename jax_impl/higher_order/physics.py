"""Losses that hold a network to a partial differential equation and to its boundary values."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jax_impl.higher_order.network import mlp
from jax_impl.higher_order.tree import at_least, checked, floating, whole
from jax_impl.models.losses import Batch, Params


class Field(NamedTuple):
    """A network's value and derivatives at n points, each (n,)."""

    u: Array
    u_x: Array
    u_t: Array
    u_xx: Array


def field(params: Params, points: Array) -> Field:
    """Derivatives with respect to the inputs, by nested `grad` of a scalar function under `vmap`.

    `points` is (n, 2): x and t, constants to the losses. The function is written for one point; `vmap` makes it serve
    all of them.
    """
    floating("points", points)
    if points.shape[1:] != (2,):
        raise ValueError(f"`points` must be (n, 2), x and t (got shape {list(points.shape)})")

    def u(x: Array, t: Array) -> Array:
        return mlp(params, jnp.stack([x, t])[None])[0]

    points = jax.lax.stop_gradient(points)
    u_x, u_t = jax.grad(u, 0), jax.grad(u, 1)
    u_xx = jax.grad(u_x, 0)
    return Field(*(jax.vmap(f)(points[:, 0], points[:, 1]) for f in (u, u_x, u_t, u_xx)))


def heat(f: Field) -> Array:
    """u_t = 0.1 u_xx."""
    return f.u_t - 0.1 * f.u_xx


def burgers(f: Field) -> Array:
    """u_t + u u_x = 0.1 u_xx."""
    return f.u_t + f.u * f.u_x - 0.1 * f.u_xx


def pde_losses(equation: Callable[[Field], Array], params: Params, batch: Batch) -> dict[str, Array]:
    """Three mean squares: the residual at `inside` (n, 2), the misfit at `start` and `edge` to the values given."""
    return {
        "residual": jnp.square(equation(field(params, batch["inside"]))).mean(),
        "initial": jnp.square(mlp(params, batch["start"]) - batch["start_u"]).mean(),
        "boundary": jnp.square(mlp(params, batch["edge"]) - batch["edge_u"]).mean(),
    }


def train(
    losses: Callable[[Params, Batch], dict[str, Array]], params: Params, batch: Batch, steps: int, rate: float
) -> tuple[Params, Array]:
    """Adam on the sum of the losses, its rate falling to 0 along a cosine; each loss at each step is (steps, K)."""
    whole(1, steps=steps)
    at_least(0, rate=rate)
    scalars = checked(lambda p: losses(p, batch), params)
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def total(p: Params):
        values = jnp.stack(list(scalars(p).values()))
        return values.sum(), values

    def step(state, _):
        p, moments = state
        gradient, values = jax.grad(total, has_aux=True)(p)
        updates, moments = optimiser.update(gradient, moments)
        return (optax.apply_updates(p, updates), moments), values

    (params, _), trajectory = jax.lax.scan(step, (params, optimiser.init(params)), length=steps)
    return params, trajectory
