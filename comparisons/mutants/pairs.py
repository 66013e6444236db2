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
    """`norm` is "layer", after a product of matrices, or "batch", after a convolution whose bias it cancels."""

    depth: int
    width: int
    activation: str
    norm: str = "layer"


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
        (1, 8, "tanh", "batch"),
        (1, 16, "relu", "batch"),
    )
)
IN_TORCH = {"tanh": torch.tanh, "relu": F.relu, "gelu": F.gelu}
IN_JAX = {"tanh": jnp.tanh, "relu": jax.nn.relu, "gelu": partial(jax.nn.gelu, approximate=False)}


def torch_losses(p, b, shape: Shape):
    """A norm before each activation keeps the network well conditioned whatever the scale of its weights.

    So does a target that is a distribution: under one label, where its unit is off, all rows of a batch would pull
    alike, and what a batch norm leaves of that is a difference of nearly equal numbers.
    """
    x = b["x"]
    for k in range(shape.depth):
        if shape.norm == "layer":
            x = F.layer_norm(x @ p[f"{k}.w"], (shape.width,), p[f"{k}.g"], p[f"{k}.b"])
        else:
            x = F.conv2d(x, p[f"{k}.w"], p[f"{k}.c"], padding=1)
            x = F.batch_norm(x, None, None, p[f"{k}.g"], p[f"{k}.b"], training=True)
        x = IN_TORCH[shape.activation](x)
    x = x if shape.norm == "layer" else x.mean((2, 3))
    fit = ((x - b["y"]) ** 2).mean() * b["scale"]
    return {"fit": fit, "class": F.cross_entropy(x, b["target"]) / b["scale"]}


def jax_losses(p, b, shape: Shape):
    x = b["x"]
    for k in range(shape.depth):
        scale, shift = p[f"{k}.g"], p[f"{k}.b"]
        axes: tuple[int, ...] = (-1,)
        if shape.norm == "layer":
            x = x @ p[f"{k}.w"]
        else:
            x = jax.lax.conv_general_dilated(x, p[f"{k}.w"], (1, 1), "SAME") + p[f"{k}.c"][:, None, None]
            scale, shift, axes = scale[:, None, None], shift[:, None, None], (0, 2, 3)
        centred = x - x.mean(axes, keepdims=True)
        x = centred / jnp.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5) * scale + shift
        x = IN_JAX[shape.activation](x)
    x = x if shape.norm == "layer" else x.mean((2, 3))
    fit = ((x - b["y"]) ** 2).mean() * b["scale"]
    each = optax.softmax_cross_entropy(x, b["target"])
    return {"fit": fit, "class": each.mean() / b["scale"]}


def draw(shape: Shape, seed: int, weights: float, loss: float, mean: float = 0.0) -> tuple[dict, dict]:
    """Parameters and a batch, exact in float32; a large `mean` of the inputs makes it ill-conditioned."""
    rng = np.random.default_rng(seed)
    normal = lambda *s: _single(np.asarray(rng.standard_normal(s)))  # noqa: E731
    space, window = ((8, 8), (3, 3)) if shape.norm == "batch" else ((), ())
    params, inputs, kernel = {}, (shape.width, *space), (shape.width, shape.width, *window)
    for k in range(shape.depth):
        params[f"{k}.w"] = _single(normal(*kernel) * weights / np.prod(kernel[1:]) ** 0.5)
        params[f"{k}.g"], params[f"{k}.b"] = _single(1 + normal(shape.width) / 8), normal(shape.width) / 8
        if shape.norm == "batch":
            params[f"{k}.c"] = _single(normal(shape.width) * weights)
    x = _single(np.asarray(mean + normal(4, *inputs)))
    if mean:
        params["0.w"] = np.eye(shape.width)
    batch = {"x": x, "y": normal(4, shape.width), "target": _single(rng.dirichlet(np.ones(shape.width), 4))}
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
