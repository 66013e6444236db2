"""The Hessian itself, for few parameters, and its diagonal."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from jax_impl.higher_order.products import hvp_forward_over_reverse
from jax_impl.higher_order.tree import checked
from jax_impl.models.losses import Losses, Params


def hessian(losses: Losses, params: Params) -> dict[str, dict[str, Params]]:
    """Every second derivative: block [p][q] has the shape of p followed by that of q.

    `jax.hessian` is forward over reverse along every unit vector at once: N products for N parameters, batched by
    `vmap`, and N^2 numbers for each loss.
    """
    return jax.hessian(checked(losses, params))(params)


def hessian_diagonal(losses: Losses, params: Params, chunk: int = 128) -> dict[str, Params]:
    """N products, each of which keeps one number: there is no cheaper exact way through a network.

    `chunk` products at a time, so beside the results the peak grows with `chunk` times N.
    """
    if chunk < 1:
        raise ValueError(f"`chunk` must be at least 1 (got {chunk}): it is the number of products at a time")
    flat, unravel = ravel_pytree(params)

    def entries(k: Array) -> dict[str, Array]:
        products = hvp_forward_over_reverse(losses, params, unravel(jnp.zeros_like(flat).at[k].set(1)))
        return {name: ravel_pytree(product)[0][k] for name, product in products.items()}

    diagonals = jax.lax.map(entries, jnp.arange(len(flat)), batch_size=chunk)
    return {name: unravel(diagonal) for name, diagonal in diagonals.items()}
