"""JAX's behaviours: one check each, named as in the table."""

from functools import cache

import jax.numpy as jnp
from jax import Array

from comparisons.memory import predictions, sides
from comparisons.memory.behaviours.seen import LAYERS, SMALL, Seen
from comparisons.problems import many_heads
from jax_impl import first_order
from jax_impl.memory import accumulation as adding
from jax_impl.memory import checkpoint, growth, lifetime
from jax_impl.memory import compiled as compiling
from jax_impl.models.many_heads import losses as many_heads_losses

ARRAY = 4 * SMALL.batch * SMALL.width
HEAD = 4 * SMALL.batch
HELD = predictions.held("jax", SMALL)
PRODUCT = 2 * SMALL.batch * SMALL.width**2
POINTER = 8


def retaining(device: str) -> Seen:
    figures = lifetime.retaining(*_small(device))
    return Seen(lifetime.retaining, figures, {"forward": HELD, "pulled twice": HELD, "dropped": 0})


def left_behind(device: str) -> Seen:
    figures = lifetime.left_behind(*_small(device))
    expected = {"forward": HELD, "private": (SMALL.losses - 1) * HEAD, "left": HELD}
    dropped = {"last head dropped": HELD - HEAD, "heads dropped": HELD - SMALL.losses * HEAD, "dropped": 0}
    return Seen(lifetime.left_behind, figures, expected | dropped)


def path_only(device: str) -> Seen:
    return Seen(lifetime.path_only, lifetime.path_only(512), {"forward": 4096, "pulled": 4096, "a alone": 2048})


def failed_second_backward(device: str) -> Seen:
    figures = lifetime.failed_second_backward()
    return Seen(lifetime.failed_second_backward, figures, {"a + b": 3, "b + a": 0})


def per_tanh(device: str) -> Seen:
    expected = {"array": 2048, "held": 2 * LAYERS * 2048, "jitted": 0}
    return Seen(lifetime.per_tanh, lifetime.per_tanh(LAYERS, 512), expected)


def per_dense_tanh(device: str) -> Seen:
    square, tall = (lifetime.per_dense_tanh(LAYERS, batch, 16) for batch in (16, 32))
    figures = {f"{name}, square": value for name, value in square.items()}
    figures |= {f"{name}, tall": value for name, value in tall.items()}
    relations = {
        "square, it is less than PyTorch's one array a tanh": square["jitted"] < LAYERS * square["array"],
        "tall, it is not": tall["jitted"] >= LAYERS * tall["array"],
        "both are less than the pullback's two arrays a tanh": tall["jitted"] < 2 * LAYERS * tall["array"],
    }
    return Seen(lifetime.per_dense_tanh, figures, {"array, square": 1024, "array, tall": 2048}, relations)


def last_reference(device: str) -> Seen:
    expected = {"forward": HELD, "values dropped": HELD, "one reference": HELD, "dropped": 0}
    return Seen(lifetime.last_reference, lifetime.last_reference(*_small(device)), expected)


def donation(device: str) -> Seen:
    weights = 4 * ((SMALL.depth - 1) * SMALL.width**2 + SMALL.losses * SMALL.width)
    expected = {"activations": HELD, "weights": weights, "activations donated": HELD, "weights donated": 0}
    return Seen(lifetime.donation, lifetime.donation(*_small(device)), expected | {"fails": 1, "dropped": 0})


def as_losses_grow(device: str) -> Seen:
    x = jnp.ones((8 * SMALL.width, SMALL.width))
    batched = growth.as_losses_grow(first_order.per_loss_batched, x)
    chunked = growth.as_losses_grow(first_order.per_loss_chunked, x)
    figures = {"array": x.nbytes} | {f"batched, {name}": value for name, value in batched.items()}
    figures |= {f"chunked, {name}": value for name, value in chunked.items()}
    expected = {name: 4 * x.nbytes + 4 * int(name[-1]) * SMALL.width for name in figures if "held" in name}
    rise, flat = (found["beyond, K = 8"] - found["beyond, K = 4"] for found in (batched, chunked))
    relations = {
        "batched, four more losses cost two arrays each and more": rise > 8 * x.nbytes,
        "chunked, they cost less than one array in all": flat < x.nbytes,
    }
    return Seen(growth.as_losses_grow, figures, expected, relations)


def segmented(device: str) -> Seen:
    plain, found = _plain(), checkpoint.trade(checkpoint.segmented, *_layers())
    expected = {
        "held, plain": 4 * LAYERS * ARRAY,
        "held, checkpointed": (LAYERS // 2 - 1) * ARRAY,
        "flops, plain": (3 * LAYERS - 1) * PRODUCT,
        "flops, checkpointed": (4 * LAYERS - 1) * PRODUCT,
    }
    return Seen(checkpoint.segmented, _both(plain, found), expected)


def in_one_jit(device: str) -> Seen:
    figures = checkpoint.in_one_jit(checkpoint.tanh_layers, *_layers())
    richer = checkpoint.in_one_jit(checkpoint.plain, *_layers())
    more, still = (found["flops, checkpointed"] - found["flops, plain"] for found in (figures, richer))
    expected = {"barriers": LAYERS // 2, "left": 0, "flops asked for": (4 * LAYERS - 1) * PRODUCT}
    relations = {
        "the FLOPs do not rise by one product of the four": more < PRODUCT,
        "the scratch does not fall": figures["temp, checkpointed"] >= figures["temp, plain"],
        "in layers of a sine, an exponential and a tanh, two of the four": 2 * PRODUCT <= still < 3 * PRODUCT,
    }
    return Seen(
        checkpoint.in_one_jit,
        figures | {f"sine layers: {name}": value for name, value in richer.items()},
        expected | {"sine layers: barriers": LAYERS // 2, "sine layers: left": 0},
        relations,
    )


def in_a_scan(device: str) -> Seen:
    figures = checkpoint.in_a_scan(*_layers())
    saved = figures["plain"] - figures["checkpointed"]
    relations = {"at least two arrays a layer are saved": saved >= 2 * LAYERS * ARRAY}
    return Seen(checkpoint.in_a_scan, figures, {}, relations)


def selective(device: str) -> Seen:
    flops = (3 * LAYERS - 1) * PRODUCT
    expected = {"held, plain": 4 * LAYERS * ARRAY, "held, checkpointed": LAYERS * ARRAY}
    return Seen(
        checkpoint.selective,
        _both(_plain(), checkpoint.trade(checkpoint.selective, *_layers())),
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


def accumulates(device: str) -> Seen:
    return Seen(adding.accumulates, adding.accumulates(512), {"one": 512, "two": 1024, "returned": 0})


def accumulation(device: str) -> Seen:
    _, params, batch = _small(device)
    one = sides.nbytes(params)
    outputs = one + len(params) * POINTER
    figures = adding.accumulation(many_heads_losses, params, batch)
    expected = {"accumulated": outputs, "per_loss_retained": SMALL.losses * outputs, "one gradient": one}
    return Seen(adding.accumulation, figures, expected)


def zero_grad_policy(device: str) -> Seen:
    _, params, batch = _small(device)
    figures = adding.zero_grad_policy(many_heads_losses, params, batch)
    relations = {"donating gives some of it back": figures["donated"] < figures["zeros"]}
    expected = {"zeros": figures["none"] + figures["one gradient"]}
    return Seen(adding.zero_grad_policy, figures, expected, relations)


def _small(device: str) -> tuple:
    side = _side(device)
    return side.losses, side.params, side.batch


@cache
def _side(device: str) -> sides.Side:
    """One set of losses: what is compiled for one behaviour serves the next."""
    return sides.jax_side("many_heads", many_heads(**SMALL._asdict()))


def _layers() -> tuple[Array, list[Array]]:
    return jnp.ones((SMALL.batch, SMALL.width)), [jnp.eye(SMALL.width)] * LAYERS


def _plain() -> dict[str, int]:
    return checkpoint.trade(checkpoint.plain, *_layers())


def _both(plain: dict[str, int], found: dict[str, int]) -> dict[str, int]:
    pairs = (("plain", plain), ("checkpointed", found))
    return {f"{figure}, {name}": values[figure] for figure in plain for name, values in pairs}
