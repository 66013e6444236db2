"""Correct pairs: the same network on both sides, drawn from a dozen compiled shapes; nothing may be found in them."""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F

from comparisons.testing import jax_side, torch_side


class Shape(NamedTuple):
    depth: int
    width: int
    activation: str


SHAPES = tuple(
    Shape(*shape)
    for shape in (
        (1, 8, "tanh"),
        (1, 512, "relu"),
        (2, 16, "gelu"),
        (2, 128, "tanh"),
        (2, 512, "gelu"),
        (3, 32, "relu"),
        (4, 16, "tanh"),
        (4, 64, "gelu"),
        (5, 8, "relu"),
        (6, 32, "gelu"),
        (8, 16, "tanh"),
        (8, 64, "relu"),
    )
)
IN_TORCH = {"tanh": torch.tanh, "relu": F.relu, "gelu": F.gelu}
IN_JAX = {"tanh": jnp.tanh, "relu": jax.nn.relu, "gelu": partial(jax.nn.gelu, approximate=False)}


def torch_losses(p, b, shape: Shape):
    """LayerNorm before each activation keeps the network well conditioned whatever the scale of its weights."""
    x = b["x"]
    for k in range(shape.depth):
        x = F.layer_norm(x @ p[f"{k}.w"], (shape.width,), p[f"{k}.g"], p[f"{k}.b"])
        x = IN_TORCH[shape.activation](x)
    fit = ((x - b["y"]) ** 2).mean() * b["scale"]
    return {"fit": fit, "class": F.cross_entropy(x, b["label"]) / b["scale"]}


def jax_losses(p, b, shape: Shape):
    x = b["x"]
    for k in range(shape.depth):
        x = x @ p[f"{k}.w"]
        centred = x - x.mean(-1, keepdims=True)
        x = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p[f"{k}.g"] + p[f"{k}.b"]
        x = IN_JAX[shape.activation](x)
    fit = ((x - b["y"]) ** 2).mean() * b["scale"]
    each = optax.softmax_cross_entropy_with_integer_labels(x, b["label"])
    return {"fit": fit, "class": each.mean() / b["scale"]}


def draw(shape: Shape, seed: int, weights: float, loss: float, mean: float = 0.0) -> tuple[dict, dict]:
    """Parameters and a batch, exact in float32; a large `mean` of the inputs makes it ill-conditioned."""
    rng = np.random.default_rng(seed)
    normal = lambda *s: _single(np.asarray(rng.standard_normal(s)))  # noqa: E731
    params = {}
    for k in range(shape.depth):
        params[f"{k}.w"] = _single(normal(shape.width, shape.width) * weights / shape.width**0.5)
        params[f"{k}.g"], params[f"{k}.b"] = _single(1 + normal(shape.width) / 8), normal(shape.width) / 8
    x = _single(np.asarray(mean + normal(4, shape.width)))
    if mean:
        params["0.w"] = np.eye(shape.width)
    batch = {"x": x, "y": normal(4, shape.width), "label": rng.integers(0, shape.width, 4)}
    return params, batch | {"scale": _single(np.array(loss))}


def gradients(shape: Shape, params: dict, batch: dict, dtype: str = "float64") -> tuple[dict, dict]:
    """JAX's and PyTorch's, the first by a program that every draw of the shape shares."""
    with jax.enable_x64(dtype == "float64"):
        found = _compiled(shape, dtype)(jax_side._cast(params, dtype), jax_side._cast(batch, dtype))
        there = {loss: {name: np.asarray(g) for name, g in grad.items()} for loss, grad in found.items()}
    _, here = torch_side.gradients(partial(torch_losses, shape=shape), params, dtype, batch)
    return there, here


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32).astype(float)


@cache
def _compiled(shape: Shape, dtype: str):
    def each(p, b):
        return {name: jax.grad(lambda q: jax_losses(q, b, shape)[name])(p) for name in ("fit", "class")}

    return jax.jit(each)
