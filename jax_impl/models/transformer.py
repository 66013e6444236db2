"""The attention problem's trunk at any size, behind K linear heads: stated by shapes, and simulated."""

from functools import cache, partial

from flax import nnx
from jax import Array

from jax_impl.models.attention import Trunk
from jax_impl.models.losses import Batch, Losses, Params, call


@cache
def _trunk(width: int, depth: int, tokens: int) -> Trunk:
    return nnx.eval_shape(lambda: Trunk(width, depth, nnx.Rngs(0), tokens))


def network(params: Params) -> Trunk:
    """The trunk for these parameters' sizes, without values of its own."""
    tokens, width = params["trunk.position"].shape
    return _trunk(width, sum(name.endswith(".up.bias") for name in params), tokens)


def losses(batch: Batch) -> Losses:
    """K mean squared errors on the mean token, one for each row of `batch["targets"]` (K, batch)."""

    def trunk(p: Params) -> Array:
        return call(network(p), p, "trunk", batch["tokens"])

    def head(k: int, p: Params, z: Array) -> Array:
        found = (z @ p[f"heads.{k}.kernel"] + p[f"heads.{k}.bias"])[:, 0]
        return ((found - batch["targets"][k]) ** 2).mean()

    return Losses(trunk, {f"loss{k}": partial(head, k) for k in range(len(batch["targets"]))})
