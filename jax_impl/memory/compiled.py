"""What a compiled forward keeps: its residuals are outputs of the program, and the caller owns them."""

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.memory.held import held
from jax_impl.memory.phases import compiled_vjp


def one_value(x: Array, weights: list[Array], heads: list[Array]) -> dict[str, int]:
    """A compiled `jax.vjp` hands its residuals out as one value: no pull frees a part of it, dropping it frees all.

    The weights that a pull needs come out as copies; a pullback made without `jit` has the caller's own arrays.
    """

    def losses(weights, heads, x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return [((x @ head) ** 2).mean() for head in heads]

    _, pullback = jax.vjp(losses, weights, heads, x)
    arrays = (weights, heads, x)
    figures = {"eager, copies": held(pullback, arrays).kept["parameter"]}
    values, pullback = compiled_vjp(losses, weights, heads, x)
    ledger = held(pullback, arrays)
    figures |= {"compiled, copies": ledger.kept["parameter"], "compiled, forward": ledger.bytes}
    pull = jax.jit(lambda pullback, cotangents: pullback(cotangents))
    for row in jnp.eye(len(values)):
        jax.block_until_ready(pull(pullback, list(row)))
    figures["compiled, left"] = ledger.bytes
    del pullback
    return figures | {"dropped": ledger.bytes}
