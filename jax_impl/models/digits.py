"""Digits, a multilayer perceptron: what digit is it, is it odd, draw it again, and keep the weights small."""

from functools import cache

import optax
from flax import nnx
from jax import Array

from jax_impl.models.losses import Batch, Losses, Params, call


class Trunk(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs):
        self.l1 = nnx.Linear(64, width, rngs=rngs)
        self.l2 = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        return nnx.relu(self.l2(nnx.relu(self.l1(x))))


class Network(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs):
        self.trunk = Trunk(width, rngs)
        self.digit = nnx.Linear(width, 10, rngs=rngs)
        self.odd = nnx.Linear(width, 1, rngs=rngs)
        self.pixels = nnx.Linear(width, 64, rngs=rngs)


@cache
def _network(width: int) -> Network:
    return nnx.eval_shape(lambda: Network(width, nnx.Rngs(0)))


def network(params: Params) -> Network:
    """The modules for these parameters' width, without values of their own."""
    return _network(params["trunk.l1.bias"].shape[0])


def losses(batch: Batch) -> Losses:
    """Four losses that touch different parameters: no head's but its own, and `decay` no feature and no bias."""

    def trunk(p: Params) -> Array:
        return call(network(p).trunk, p, "trunk", batch["images"].reshape(-1, 64))

    def digit(p: Params, z: Array) -> Array:
        logits = call(network(p).digit, p, "digit", z)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["digit"]).mean()

    def odd(p: Params, z: Array) -> Array:
        logit = call(network(p).odd, p, "odd", z)[:, 0]
        return optax.sigmoid_binary_cross_entropy(logit, batch["odd"]).mean()

    def pixels(p: Params, z: Array) -> Array:
        drawn = call(network(p).pixels, p, "pixels", z)
        return optax.squared_error(drawn, batch["images"].reshape(-1, 64)).mean()

    def decay(p: Params, z: Array) -> Array:
        return 1e-3 * sum((w**2).sum() for w in p.values() if w.ndim > 1)

    return Losses(trunk, {"digit": digit, "odd": odd, "pixels": pixels, "decay": decay})
