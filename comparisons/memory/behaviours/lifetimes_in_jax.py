"""What JAX keeps, and when it lets go: one check for each behaviour, named as in the table."""

from functools import cache

import jax.numpy as jnp

from comparisons.memory import predictions, sides
from comparisons.memory.behaviours.seen import HEAD, LAYERS, SMALL, Seen
from comparisons.problems import many_heads
from jax_impl import first_order
from jax_impl.memory import accumulation as adding
from jax_impl.memory import arrays, growth, lifetime
from jax_impl.models.many_heads import losses as many_heads_losses

HELD = predictions.held("jax", SMALL)
POINTER = 8


def retaining(device: str) -> Seen:
    figures = lifetime.retaining(*_small(device))
    return Seen(lifetime.retaining, figures, {"forward": HELD, "pulled twice": HELD, "dropped": 0})


def left_behind(device: str) -> Seen:
    figures = lifetime.left_behind(*_small(device))
    trunk = predictions.phase("jax", "per_loss_retained", "forward", SMALL) or 0
    forward = trunk + SMALL.losses * HEAD
    expected = {"forward": forward, "private": (SMALL.losses - 1) * HEAD, "left": forward}
    dropped = {"last head dropped": forward - HEAD, "heads dropped": trunk, "dropped": 0}
    return Seen(lifetime.left_behind, figures, expected | dropped)


def path_only(device: str) -> Seen:
    return Seen(lifetime.path_only, lifetime.path_only(512), {"forward": 4096, "pulled": 4096, "a alone": 2048})


def failed_second_backward(device: str) -> Seen:
    figures = lifetime.failed_second_backward()
    return Seen(lifetime.failed_second_backward, figures, {"a + b": 3, "b + a": 0})


def per_tanh(device: str) -> Seen:
    expected = {"array": 2048, "held": predictions.TANH_IN_JAX * LAYERS * 2048, "jitted": 0}
    return Seen(arrays.per_tanh, arrays.per_tanh(LAYERS, 512), expected)


def per_dense_tanh(device: str) -> Seen:
    square, tall = (arrays.per_dense_tanh(LAYERS, batch, 16) for batch in (16, 32))
    figures = {f"{name}, square": value for name, value in square.items()}
    figures |= {f"{name}, tall": value for name, value in tall.items()}
    relations = {
        "square, it is less than PyTorch's one array a tanh": square["jitted"] < LAYERS * square["array"],
        "tall, it is not": tall["jitted"] >= LAYERS * tall["array"],
        "both are less than the pullback's two arrays a tanh": tall["jitted"] < 2 * LAYERS * tall["array"],
    }
    return Seen(arrays.per_dense_tanh, figures, {"array, square": 1024, "array, tall": 2048}, relations)


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
