"""Digits as images: two convolutions, then what digit is it, is it odd, how much ink."""

from functools import cache, partial

import jax
import optax
from flax import nnx
from jax import Array

from jax_impl.models.losses import Batch, Losses, Params, call

gelu = partial(jax.nn.gelu, approximate=False)


class Trunk(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs):
        norm = partial(nnx.GroupNorm, num_groups=2, epsilon=1e-5, use_fast_variance=False, rngs=rngs)
        self.conv1 = nnx.Conv(1, width, (3, 3), padding=1, rngs=rngs)
        self.norm1 = norm(width)
        self.conv2 = nnx.Conv(width, 2 * width, (3, 3), padding=1, rngs=rngs)
        self.norm2 = norm(2 * width)

    def __call__(self, x: Array) -> Array:
        x = gelu(self.norm1(self.conv1(x)))
        x = nnx.avg_pool(x, (2, 2), (2, 2))
        x = gelu(self.norm2(self.conv2(x)))
        return x.mean((1, 2))


class Network(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs):
        self.trunk = Trunk(width, rngs)
        self.digit = nnx.Linear(2 * width, 10, rngs=rngs)
        self.odd = nnx.Linear(2 * width, 1, rngs=rngs)
        self.ink = nnx.Linear(2 * width, 1, rngs=rngs)


@cache
def _network(width: int) -> Network:
    return nnx.eval_shape(lambda: Network(width, nnx.Rngs(0)))


def network(params: Params) -> Network:
    """The modules for these parameters' width, without values of their own."""
    return _network(params["trunk.conv1.bias"].shape[0])


def losses(batch: Batch) -> Losses:
    """Three losses on features pooled over the image, so that no flatten order can differ."""

    def trunk(p: Params) -> Array:
        return call(network(p).trunk, p, "trunk", batch["images"][..., None])

    def digit(p: Params, z: Array) -> Array:
        logits = call(network(p).digit, p, "digit", z)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["digit"]).mean()

    def odd(p: Params, z: Array) -> Array:
        logit = call(network(p).odd, p, "odd", z)[:, 0]
        return optax.sigmoid_binary_cross_entropy(logit, batch["odd"]).mean()

    def ink(p: Params, z: Array) -> Array:
        ink = call(network(p).ink, p, "ink", z)[:, 0]
        return optax.squared_error(ink, batch["images"].mean((1, 2))).mean()

    return Losses(trunk, {"digit": digit, "odd": odd, "ink": ink})
