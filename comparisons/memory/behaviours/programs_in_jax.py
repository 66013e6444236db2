"""What checkpointing and compiling change in JAX: one check for each behaviour, named as in the table."""

import jax.numpy as jnp
from jax import Array

from comparisons.memory import predictions
from comparisons.memory.behaviours.seen import ARRAY, HEAD, LAYERS, SMALL, Seen, beside
from jax_impl.memory import checkpoint
from jax_impl.memory import compiled as compiling

HELD_PLAIN = (4 * LAYERS - 2 + predictions.TANH_IN_JAX) * ARRAY  # one array of the last tanh no product reads
MERGED = predictions.JAX < (0, 11, 2)  # does XLA on the CPU run equal products once, checkpointed or not?
PRODUCT = 2 * SMALL.batch * SMALL.width**2


def segmented(device: str) -> Seen:
    plain, found = _plain(), checkpoint.trade(checkpoint.segmented, *_layers())
    expected = {
        "held, plain": HELD_PLAIN,
        "held, checkpointed": (LAYERS // 2 - 1) * ARRAY,
        "flops, plain": (3 * LAYERS - 1) * PRODUCT,
        "flops, checkpointed": (4 * LAYERS - 1) * PRODUCT,
    }
    return Seen(checkpoint.segmented, beside(plain, found), expected)


def in_one_program(device: str) -> Seen:
    figures = checkpoint.in_one_program(checkpoint.tanh_layers, *_layers())
    richer = checkpoint.in_one_program(checkpoint.plain, *_layers())
    more, still = (found["flops, checkpointed"] - found["flops, plain"] for found in (figures, richer))
    expected = {"barriers": LAYERS // 2, "left": 0, "flops asked for": (4 * LAYERS - 1) * PRODUCT}
    taken_back = {
        "the FLOPs do not rise by one product of the four": more < PRODUCT,
        "the scratch does not fall": figures["temp, checkpointed"] >= figures["temp, plain"],
        "in layers of a sine, an exponential and a tanh, two of the four": 2 * PRODUCT <= still < 3 * PRODUCT,
    }
    kept = {
        "the FLOPs rise by all four products": min(more, still) >= LAYERS * PRODUCT,
        "the scratch falls": figures["temp, checkpointed"] < figures["temp, plain"],
    }
    return Seen(
        checkpoint.in_one_program,
        figures | {f"sine layers: {name}": value for name, value in richer.items()},
        expected | {"sine layers: barriers": LAYERS // 2, "sine layers: left": 0},
        taken_back if MERGED else kept,
    )


def in_a_scan(device: str) -> Seen:
    figures = checkpoint.in_a_scan(*_layers())
    saved = figures["plain"] - figures["checkpointed"]
    relations = {"at least two arrays a layer are saved": saved >= 2 * LAYERS * ARRAY}
    return Seen(checkpoint.in_a_scan, figures, {}, relations)


def selective(device: str) -> Seen:
    flops = (3 * LAYERS - 1) * PRODUCT
    expected = {"held, plain": HELD_PLAIN, "held, checkpointed": LAYERS * ARRAY}
    return Seen(
        checkpoint.selective,
        beside(_plain(), checkpoint.trade(checkpoint.selective, *_layers())),
        expected | {"flops, plain": flops, "flops, checkpointed": flops},
    )


def selective_twice(device: str) -> Seen:
    return Seen(checkpoint.selective_twice, checkpoint.selective_twice(4), {"retained": 4, "batched": 4})


def layer_calls(device: str) -> Seen:
    figures = checkpoint.layer_calls(losses=4, depth=4)
    return Seen(checkpoint.layer_calls, figures, {"plain": 4, "retained": 20, "batched": 8})


def compiled(device: str) -> Seen:
    heads = [jnp.ones(SMALL.width) for _ in range(3)]
    forward = 2 * LAYERS * ARRAY + 3 * HEAD
    copies = ARRAY + 4 * (LAYERS * SMALL.width**2 + 3 * SMALL.width)
    expected = {"eager, copies": 0, "compiled, copies": copies, "compiled, forward": forward}
    figures = compiling.one_value(*_layers(), heads)
    return Seen(compiling.one_value, figures, expected | {"compiled, left": forward, "dropped": 0})


def _layers() -> tuple[Array, list[Array]]:
    return jnp.ones((SMALL.batch, SMALL.width)), [jnp.eye(SMALL.width)] * LAYERS


def _plain() -> dict[str, int]:
    return checkpoint.trade(checkpoint.plain, *_layers())
