"""Checkpointing: keep less between forward and backward, and run some of the forward a second time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.cost import flops
from jax_impl.memory.held import held
from jax_impl.memory.peak import peak
from jax_impl.memory.phases import compiled_vjp

Forward = Callable[[Array, list[Array]], Array]


def plain(x: Array, weights: list[Array]) -> Array:
    """A product, a sine, an exponential and a tanh a layer: four arrays are kept, the last for the next product too."""
    for w in weights:
        x = jnp.tanh(jnp.exp(jnp.sin(x @ w)))
    return x


def tanh_layers(x: Array, weights: list[Array]) -> Array:
    """A product and a tanh a layer: what the pullback keeps of one layer is what the next one takes."""
    for w in weights:
        x = jnp.tanh(x @ w)
    return x


def segmented(x: Array, weights: list[Array], size: int = 2, layers: Forward = plain) -> Array:
    """Only the inputs of the segments are kept; each segment runs again when the cotangent arrives at it."""
    for k in range(0, len(weights), size):
        x = jax.checkpoint(layers)(x, weights[k : k + size])
    return x


def selective(x: Array, weights: list[Array]) -> Array:
    """A policy keeps the results of the matrix products; what is pointwise is cheap and runs again."""
    return jax.checkpoint(plain, policy=jax.checkpoint_policies.dots_saveable)(x, weights)


def trade(forward: Forward, x: Array, weights: list[Array]) -> dict[str, int]:
    """Bytes that the pullback holds beside its arguments, and the FLOPs of the products that loss and gradient ask for.

    Measured on a pullback that leaves its `jit`: there checkpointing is kept. `in_one_program` is where it need not be.
    """
    _, pullback = compiled_vjp(forward, x, weights)

    def step(weights):
        return jax.value_and_grad(lambda weights: forward(x, weights).sum())(weights)

    return {"held": held(pullback).bytes, "flops": flops(step, weights)}


def in_one_program(layers: Forward, x: Array, weights: list[Array]) -> dict[str, int]:
    """Inside one `jit` XLA's backend for the CPU takes checkpointing back, until JAX 0.11.1: it drops the barriers.

    A barrier keeps a recomputed part apart from its first run. Without it 0.11.1 finds equal products and runs them
    once: all of them in `tanh_layers`, half of them in `plain`. From 0.11.2 on the barriers go as well, and all that
    stood behind them runs a second time. FLOPs and scratch (temp) are the compiler's own count.
    """
    figures = {}
    for name in ("plain", "checkpointed"):

        def loss(weights, x):
            return (layers(x, weights) if name == "plain" else segmented(x, weights, layers=layers)).sum()

        lowered = jax.jit(jax.value_and_grad(loss)).lower(weights, x)
        program = lowered.compile()
        figures[f"flops, {name}"] = round(program.cost_analysis()["flops"])
        figures[f"temp, {name}"] = program.memory_analysis().temp_size_in_bytes
    asked, left = lowered.as_text().count("optimization_barrier"), program.as_text().count("opt-barrier")
    return figures | {"flops asked for": flops(jax.value_and_grad(loss), weights, x), "barriers": asked, "left": left}


def in_a_scan(x: Array, weights: list[Array]) -> dict[str, int]:
    """Under `lax.scan` checkpointing holds, in one `jit` and on the CPU too: a loop's body is not merged with another.

    The figures are the planned scratch. Where the loop stands between the two forwards `prevent_cse` is not needed.
    """

    def step(layer: Callable) -> Callable:
        def loss(weights, x):
            return jax.lax.scan(lambda x, w: (layer(x, [w]), None), x, weights)[0].sum()

        return jax.grad(loss)

    stacked = jnp.stack(weights)
    return {
        "plain": peak(step(plain), stacked, x).temp,
        "checkpointed": peak(step(jax.checkpoint(plain, prevent_cse=False)), stacked, x).temp,
    }


def layer_calls(losses: int = 4, depth: int = 4) -> dict[str, int]:
    """Checkpointing pays the forward again for every pull: K pulls, K more forwards; one batched pull, one.

    The figures are how often a layer runs, forward included; each layer is a segment.
    """
    calls = 0

    def called() -> None:
        nonlocal calls
        calls += 1

    def layer(x: Array, w: Array) -> Array:
        jax.debug.callback(called)
        return jnp.tanh(x @ w)

    def forward(x: Array, weights: list[Array]) -> Array:
        for w in weights:
            x = layer(x, w)
        return x

    def checkpointed(x: Array, weights: list[Array]) -> Array:
        for w in weights:
            x = jax.checkpoint(layer)(x, w)
        return x

    def retained(forward: Forward, pull: Callable) -> int:
        nonlocal calls
        calls, x = 0, jnp.ones((2, 3))

        def gradients(weights):
            z, pullback = jax.vjp(lambda weights: forward(x, weights), weights)
            return pull(pullback, jnp.ones((losses, *z.shape)))

        jax.block_until_ready(jax.jit(gradients)([jnp.eye(3)] * depth))
        jax.effects_barrier()
        return calls

    def one_by_one(pullback, rows):
        return [pullback(row) for row in rows]

    return {
        "plain": retained(forward, one_by_one),
        "retained": retained(checkpointed, one_by_one),
        "batched": retained(checkpointed, lambda pullback, rows: jax.vmap(pullback)(rows)),
    }


def selective_twice(losses: int = 4) -> dict[str, int]:
    """A selective checkpoint is pulled as often as any pullback: its residuals are values, and no pull uses them up."""
    z, pullback = jax.vjp(lambda weights: selective(jnp.ones((2, 3)), weights), [jnp.eye(3)] * 2)
    rows = jnp.ones((losses, *z.shape))
    ((stacked, _),) = jax.vmap(pullback)(rows)
    return {"retained": len([pullback(row) for row in rows]), "batched": len(stacked)}
