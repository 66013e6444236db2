"""Two small networks as plain functions of their parameters: weights are (in, out) on both sides."""

import jax.numpy as jnp
import optax
from jax import Array

from jax_impl.models.losses import Batch, Params


def mlp(params: Params, x: Array) -> Array:
    """tanh layers `w0, b0, w1, b1 ...` and a linear last one; x is (batch, in), the result (batch,)."""
    depth = len(params) // 2
    for k in range(depth):
        x = x @ params[f"w{k}"] + params[f"b{k}"]
        x = jnp.tanh(x) if k < depth - 1 else x
    return x[:, 0]


def cross_entropies(params: Params, batch: Batch) -> Array:
    """Softmax regression on images: one loss an example (batch,), convex in `w` (pixels, 10) and `b` (10,)."""
    logits = batch["images"].reshape(-1, len(params["w"])) @ params["w"] + params["b"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["digit"])
