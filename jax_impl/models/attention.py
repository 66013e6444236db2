"""Digits as eight tokens, the rows of the image, through pre-norm transformer blocks."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from jax_impl.models.losses import Batch, Losses, Params, call

LayerNorm = partial(nnx.LayerNorm, epsilon=1e-5, use_fast_variance=False)


def heads(width: int) -> int:
    """64 features a head, as in GPT-2, and never fewer than two heads."""
    return max(2, width // 64)


def attend(query: Array, key: Array, value: Array, **_) -> Array:
    """Softmax attention in the inputs' own dtype; `jax.nn.dot_product_attention` takes a float64 softmax in float32.

    All three are (batch, token, head, feature).
    """
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value)


class Block(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs):
        self.norm1 = LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads(width), width, attention_fn=attend, decode=False, rngs=rngs)
        self.norm2 = LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        x = x + self.attention(self.norm1(x))
        return x + self.down(jax.nn.gelu(self.up(self.norm2(x)), approximate=False))


class Trunk(nnx.Module):
    def __init__(self, width: int, depth: int, rngs: nnx.Rngs, tokens: int = 8):
        self.embed = nnx.Linear(8, width, rngs=rngs)
        self.position = nnx.Param(jnp.zeros((tokens, width)))
        self.blocks = nnx.List(Block(width, rngs) for _ in range(depth))
        self.norm = LayerNorm(width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        x = self.embed(x) + self.position
        for block in self.blocks:
            x = block(x)
        return self.norm(x).mean(1)


class Network(nnx.Module):
    def __init__(self, width: int, depth: int, rngs: nnx.Rngs):
        self.trunk = Trunk(width, depth, rngs)
        self.digit = nnx.Linear(width, 10, rngs=rngs)
        self.odd = nnx.Linear(width, 1, rngs=rngs)
        self.pixels = nnx.Linear(width, 64, rngs=rngs)


@cache
def _network(width: int, depth: int) -> Network:
    return nnx.eval_shape(lambda: Network(width, depth, nnx.Rngs(0)))


def network(params: Params) -> Network:
    """The modules for these parameters' width and depth, without values of their own."""
    return _network(params["digit.kernel"].shape[0], sum(name.endswith(".up.bias") for name in params))


def losses(batch: Batch) -> Losses:
    """Three losses on the mean token."""

    def trunk(p: Params) -> Array:
        return call(network(p).trunk, p, "trunk", batch["images"])

    def digit(p: Params, z: Array) -> Array:
        logits = call(network(p).digit, p, "digit", z)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["digit"]).mean()

    def odd(p: Params, z: Array) -> Array:
        logit = call(network(p).odd, p, "odd", z)[:, 0]
        return optax.sigmoid_binary_cross_entropy(logit, batch["odd"]).mean()

    def pixels(p: Params, z: Array) -> Array:
        drawn = call(network(p).pixels, p, "pixels", z)
        return optax.squared_error(drawn, batch["images"].reshape(-1, 64)).mean()

    return Losses(trunk, {"digit": digit, "odd": odd, "pixels": pixels})
