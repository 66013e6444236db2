"""How many arrays an operation keeps: in a pullback that leaves its `jit`, and in a jitted gradient."""

import jax
import jax.numpy as jnp

from jax_impl.memory.held import held
from jax_impl.memory.peak import peak
from jax_impl.memory.phases import compiled_vjp


def per_tanh(depth: int = 4, n: int = 1024) -> dict[str, int]:
    """A tanh keeps two arrays in a pullback that leaves its `jit`, one from JAX 0.11.2 on; a jitted gradient, none.

    Two: tanh and one minus tanh. One: one minus its square, a primitive since.
    Its scratch is a plan's `temp`: pointwise operations are merged into one loop.
    """

    def chain(x):
        for _ in range(depth):
            x = jnp.tanh(x)
        return x

    _, pullback = compiled_vjp(chain, jnp.zeros(n))
    return {
        "array": 4 * n,
        "held": held(pullback).bytes,
        "jitted": peak(jax.grad(lambda x: chain(x).sum()), jnp.zeros(n)).temp,
    }


def per_dense_tanh(depth: int = 4, batch: int = 16, width: int = 16) -> dict[str, int]:
    """A jitted gradient of dense tanh layers needs less scratch than PyTorch holds only where its outputs lend theirs.

    That is where a weight is as large as an activation, `width >= batch`: XLA keeps activations in the gradients'
    own buffers until these are written. Elsewhere it plans one array a layer and one more.
    """

    def loss(weights, x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return (x**2).mean()

    weights, x = [jnp.zeros((width, width))] * depth, jnp.zeros((batch, width))
    return {"array": x.nbytes, "jitted": peak(jax.grad(loss), weights, x).temp}
