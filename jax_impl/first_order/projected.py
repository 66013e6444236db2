"""What is asked of K gradients without forming them."""

import jax
from jax import Array

from jax_impl.models.losses import Losses, Params


def directional(losses: Losses, params: Params, direction: Params) -> dict[str, Array]:
    """One forward-mode pass gives every loss's derivative along `direction`: K numbers, and nothing is saved.

    A tangent goes through the trunk once beside the value; `jax.vjp` with K losses would need K pulls.
    """
    _, tangents = jax.jvp(losses, (params,), (direction,))
    return tangents


def feature_gradients(losses: Losses, params: Params) -> dict[str, Array]:
    """Each loss's gradient with respect to the shared features, of their shape: the trunk is never differentiated.

    K x batch x features numbers instead of K x parameters, enough for several weighting methods.
    """
    z = losses.trunk(params)
    return {name: jax.grad(head, 1)(params, z) for name, head in losses.heads.items()}
