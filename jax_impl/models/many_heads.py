"""Synthetic: a tanh trunk of any depth and width, and K heads, each with a hidden layer or none."""

from functools import cache, partial

import jax.numpy as jnp
from flax import nnx
from jax import Array

from jax_impl.models.losses import Batch, Losses, Params, call


class Trunk(nnx.Module):
    def __init__(self, width: int, depth: int, rngs: nnx.Rngs):
        self.layers = nnx.List(nnx.Linear(width, width, rngs=rngs) for _ in range(depth))

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return x


class Head(nnx.Module):
    def __init__(self, width: int, hidden: int, rngs: nnx.Rngs):
        self.hidden = nnx.data(nnx.Linear(width, hidden, rngs=rngs) if hidden else None)
        self.out = nnx.Linear(hidden or width, 1, rngs=rngs)

    def __call__(self, z: Array) -> Array:
        return self.out(jnp.tanh(self.hidden(z)) if self.hidden else z)[:, 0]


class Network(nnx.Module):
    def __init__(self, width: int, depth: int, heads: int, hidden: int, rngs: nnx.Rngs):
        self.trunk = Trunk(width, depth, rngs)
        self.heads = nnx.List(Head(width, hidden, rngs) for _ in range(heads))


@cache
def _network(width: int, depth: int, heads: int, hidden: int) -> Network:
    return nnx.eval_shape(lambda: Network(width, depth, heads, hidden, nnx.Rngs(0)))


@cache
def _counted(names: tuple[str, ...]) -> tuple[int, int]:
    """Layers of the trunk, and heads; once for each set of names, since every head asks."""
    return sum(name.startswith("trunk.") for name in names) // 2, sum(name.endswith(".out.bias") for name in names)


def network(params: Params) -> Network:
    """The modules for these parameters' sizes, without values of their own."""
    depth, heads = _counted(tuple(params))
    hidden = params["heads.0.hidden.bias"].shape[0] if "heads.0.hidden.bias" in params else 0
    return _network(params["trunk.layers.0.bias"].shape[0], depth, heads, hidden)


def losses(batch: Batch) -> Losses:
    """K mean squared errors, one for each row of `batch["targets"]` (K, batch)."""

    def trunk(p: Params) -> Array:
        return call(network(p).trunk, p, "trunk", batch["x"])

    def head(k: int, p: Params, z: Array) -> Array:
        return ((call(network(p).heads[k], p, f"heads.{k}", z) - batch["targets"][k]) ** 2).mean()

    return Losses(trunk, {f"loss{k}": partial(head, k) for k in range(len(batch["targets"]))})
