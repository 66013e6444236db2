"""Multi-loss problems, each stated once in NumPy: parameters, a batch, the names of the losses, and the layout.

PyTorch's names and layouts are the canonical ones. Every number is exact in float32, so that a float32 run and its
float64 reference differentiate the same function at the same point.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from comparisons.layout import Arrays, Layout, attention, conv, linear, lstm, norm, parameter


class Problem(NamedTuple):
    params: Arrays
    batch: Arrays
    losses: tuple[str, ...]
    layout: Layout


def lesson(seed: int | None = 0) -> Problem:
    """x (1, 10), w (10, 1), y = x @ w; main = sum((y - 1)^2), reg = sum(w^2)."""
    layout = {"w": parameter(10, 1)}
    return Problem(draw(layout, seed), _normal(seed, x=(1, 10)), ("main", "reg"), layout)


def digits(batch: int, width: int, seed: int | None = 0) -> Problem:
    """A multilayer perceptron on the digit images; `decay` touches every weight, the others their own head."""
    layout = {
        "trunk.l1": linear(64, width),
        "trunk.l2": linear(width, width),
        "digit": linear(width, 10),
        "odd": linear(width, 1),
        "pixels": linear(width, 64),
    }
    return Problem(draw(layout, seed), images(batch), ("digit", "odd", "pixels", "decay"), layout)


def conv_(batch: int, width: int, seed: int | None = 0) -> Problem:
    """Two convolutions with GroupNorm and GELU, pooled over the image."""
    layout = {
        "trunk.conv1": conv(1, width, 3, 3),
        "trunk.norm1": norm(width),
        "trunk.conv2": conv(width, 2 * width, 3, 3),
        "trunk.norm2": norm(2 * width),
        "digit": linear(2 * width, 10),
        "odd": linear(2 * width, 1),
        "ink": linear(2 * width, 1),
    }
    return Problem(draw(layout, seed), images(batch), ("digit", "odd", "ink"), layout)


def attention_(batch: int, width: int, depth: int, seed: int | None = 0) -> Problem:
    """Pre-norm transformer blocks on the eight rows of an image, averaged over the rows."""
    layout = _blocks(8, width, depth) | {"digit": linear(width, 10), "odd": linear(width, 1)}
    layout |= {"pixels": linear(width, 64)}
    return Problem(draw(layout, seed), images(batch), ("digit", "odd", "pixels"), layout)


def transformer(batch: int, tokens: int, width: int, depth: int, losses: int, seed: int | None = 0) -> Problem:
    """The attention problem's trunk on any number of tokens, and `losses` linear heads: what is simulated at scale."""
    layout = _blocks(tokens, width, depth) | {f"heads.{k}": linear(width, 1) for k in range(losses)}
    data = _normal(seed, tokens=(batch, tokens, 8), targets=(losses, batch))
    return Problem(draw(layout, seed), data, tuple(f"loss{k}" for k in range(losses)), layout)


def _blocks(tokens: int, width: int, depth: int) -> dict:
    layout: dict = {"trunk.embed": linear(8, width), "trunk.position": parameter(tokens, width)}
    for k in range(depth):
        layout |= {
            f"trunk.blocks.{k}.norm1": norm(width),
            f"trunk.blocks.{k}.attention": attention(width, max(2, width // 64)),
            f"trunk.blocks.{k}.norm2": norm(width),
            f"trunk.blocks.{k}.up": linear(width, 4 * width),
            f"trunk.blocks.{k}.down": linear(4 * width, width),
        }
    return layout | {"trunk.norm": norm(width)}


def recurrent(batch: int, width: int, seed: int | None = 0) -> Problem:
    """An LSTM reads the eight rows of an image; the losses see its last hidden state."""
    layout = {
        "trunk.lstm": lstm(8, width),
        "digit": linear(width, 10),
        "odd": linear(width, 1),
        "pixels": linear(width, 64),
    }
    return Problem(draw(layout, seed), images(batch), ("digit", "odd", "pixels"), layout)


def many_heads(batch: int, width: int, depth: int, losses: int, hidden: int = 0, seed: int | None = 0) -> Problem:
    """Synthetic, for sweeps: `depth` tanh layers of `width`, then `losses` heads with `hidden` units (0: linear)."""
    layout = {f"trunk.layers.{k}": linear(width, width) for k in range(depth)}
    for k in range(losses):
        if hidden:
            layout[f"heads.{k}.hidden"] = linear(width, hidden)
        layout[f"heads.{k}.out"] = linear(hidden or width, 1)
    data = _normal(seed, x=(batch, width), targets=(losses, batch))
    return Problem(draw(layout, seed), data, tuple(f"loss{k}" for k in range(losses)), layout)


SIZES: dict[str, dict[str, dict[str, int]]] = {
    "lesson": {"tiny": {}, "default": {}, "large": {}},
    "digits": {
        "tiny": {"batch": 16, "width": 16},
        "default": {"batch": 256, "width": 128},
        "large": {"batch": 1797, "width": 1024},
    },
    "conv": {
        "tiny": {"batch": 8, "width": 4},
        "default": {"batch": 128, "width": 16},
        "large": {"batch": 1797, "width": 64},
    },
    "attention": {
        "tiny": {"batch": 8, "width": 8, "depth": 1},
        "default": {"batch": 128, "width": 32, "depth": 2},
        "large": {"batch": 1797, "width": 256, "depth": 6},
    },
    "recurrent": {
        "tiny": {"batch": 8, "width": 8},
        "default": {"batch": 128, "width": 64},
        "large": {"batch": 1797, "width": 512},
    },
    "many_heads": {
        "tiny": {"batch": 8, "width": 8, "depth": 2, "losses": 3, "hidden": 4},
        "default": {"batch": 128, "width": 64, "depth": 4, "losses": 8},
        "large": {"batch": 1024, "width": 1024, "depth": 8, "losses": 16},
    },
}
DENSE = {  # few enough parameters for a Hessian
    "lesson": {},
    "digits": {"batch": 8, "width": 4},
    "conv": {"batch": 4, "width": 4},
    "attention": {"batch": 4, "width": 4, "depth": 1},
    "recurrent": {"batch": 4, "width": 4},
    "many_heads": {"batch": 8, "width": 8, "depth": 2, "losses": 3, "hidden": 4},
}
BEYOND = {"gpt2-xl": {"transformer": {"batch": 1, "tokens": 1024, "width": 1600, "depth": 48, "losses": 16}}}
BUILD: dict[str, Callable[..., Problem]] = {
    "lesson": lesson,
    "digits": digits,
    "conv": conv_,
    "attention": attention_,
    "recurrent": recurrent,
    "many_heads": many_heads,
    "transformer": transformer,
}


@cache
def problem(name: str, size: str = "default", seed: int = 0) -> Problem:
    """The named problem at one of its sizes: tiny, default or large, or dense."""
    return BUILD[name](**(DENSE[name] if size == "dense" else SIZES[name][size]), seed=seed)


def shapes(name: str, size: str) -> Problem:
    """The named problem without its numbers, at any of its sizes or at one of BEYOND, too large to draw."""
    return BUILD[name](**(BEYOND[size] if size in BEYOND else {name: SIZES[name][size]})[name], seed=None)


def direction(problem: Problem) -> Arrays:
    """One fixed direction in parameter space, drawn like the parameters."""
    return draw(problem.layout, seed=17)


def images(count: int) -> Arrays:
    """The first `count` of the 1797 8x8 digit images that scikit-learn ships, in [0, 1], and what they show."""
    pixels, digit = _digits()
    return {"images": pixels[:count], "digit": digit[:count], "odd": (digit[:count] % 2).astype(np.float64)}


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # half a second to import

    data = load_digits()
    return data.images / 16, data.target


def draw(layout: Layout, seed: int | None) -> Arrays:
    """Parameters of every layer: matrices of variance 1 / fan-in, norm weights about 1, biases about 0.

    Without a seed, shapes alone: views of one zero, which take no memory.
    """
    if seed is None:
        named = {(name, leaf): shape for name, layer in layout.items() for leaf, shape in layer.shapes.items()}
        return {
            f"{name}.{leaf}".removesuffix("."): np.broadcast_to(0.0, shape) for (name, leaf), shape in named.items()
        }
    rng = np.random.default_rng(seed)
    params = {}
    for name, layer in layout.items():
        for leaf, shape in layer.shapes.items():
            fan_in = np.prod(shape[1:]) if len(shape) > 1 else 100
            centre = 1.0 if leaf == "weight" and len(shape) == 1 else 0.0
            params[f"{name}.{leaf}".removesuffix(".")] = _float32(centre + rng.standard_normal(shape) / fan_in**0.5)
    return params


def _normal(seed: int | None, **shapes: tuple[int, ...]) -> Arrays:
    """Standard normal data; without a seed, shapes alone."""
    if seed is None:
        return {name: np.broadcast_to(0.0, shape) for name, shape in shapes.items()}
    rng = np.random.default_rng(seed + 1)
    return {name: _float32(rng.standard_normal(shape)) for name, shape in shapes.items()}


def _float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32).astype(np.float64)
