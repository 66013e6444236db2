"""A loss made of gradients: the WGAN-GP critic's."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.higher_order.network import mlp
from jax_impl.higher_order.tree import floating
from jax_impl.models.losses import Batch, Params


def plain_norm(x: Array) -> Array:
    """Euclidean norms of the rows. At a row of zeros their gradient is 0 / 0: NaN in JAX."""
    return jnp.linalg.norm(x, axis=-1)


def safe_root(squares: Array) -> Array:
    """Square roots, with gradient 0 at 0 by construction, at every order.

    The inner `where` keeps the square root away from 0, the outer one chooses the value.
    """
    zero = squares == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squares)))


def safe_norm(x: Array) -> Array:
    """Euclidean norms of the rows, with gradient 0 at a row of zeros, at every order."""
    return safe_root(jnp.square(x).sum(-1))


def gradient_penalty(
    critic: Callable[[Array], Array], points: Array, norm: Callable[[Array], Array] = safe_norm
) -> Array:
    """Mean of (|d critic / d point| - 1)^2 over points (batch, features): a `grad` inside the loss, and no flag.

    Each output depends on its own point alone, so one gradient of the sum gives every point's gradient. The points are
    constants to the penalty.
    """
    floating("points", points)
    if points.ndim != 2:
        raise ValueError(f"`points` must be (batch, features) (got shape {list(points.shape)}): flatten each point")
    points = jax.lax.stop_gradient(points)
    slopes = jax.grad(lambda x: _each(critic(x), points).sum())(points)
    return jnp.square(norm(slopes) - 1).mean()


def _each(scores: Array, points: Array) -> Array:
    if scores.shape != points.shape[:1]:
        given = f"(got shape {list(scores.shape)} for {len(points)} points)"
        raise ValueError(f"`critic` must give a number for each point {given}: leave the sum to the penalty")
    return scores


def critic_losses(params: Params, batch: Batch, norm: Callable[[Array], Array] = safe_norm) -> dict[str, Array]:
    """A WGAN-GP critic's two losses on `real`, `fake` (batch, features) and `mix` (batch, 1) in [0, 1]."""
    real, fake, mix = batch["real"], batch["fake"], batch["mix"]
    return {
        "wasserstein": mlp(params, fake).mean() - mlp(params, real).mean(),
        "penalty": 10 * gradient_penalty(lambda x: mlp(params, x), mix * real + (1 - mix) * fake, norm),
    }
