"""Digits read row by row through an LSTM; its last hidden state says what they were."""

from functools import cache

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from jax_impl.models.losses import Batch, Losses, Params, call


class Trunk(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs):
        self.lstm = nnx.OptimizedLSTMCell(8, width, rngs=rngs)

    def __call__(self, rows: Array) -> Array:
        start = jnp.zeros((len(rows), self.lstm.hidden_features), rows.dtype)
        (_, hidden), _ = jax.lax.scan(self.lstm, (start, start), rows.swapaxes(0, 1))
        return hidden


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
    return _network(params["digit.kernel"].shape[0])


def losses(batch: Batch) -> Losses:
    """Three losses on the hidden state after the last row."""

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
