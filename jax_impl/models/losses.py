"""K named losses behind a shared trunk, as functions of a plain dict of arrays."""

from collections.abc import Callable
from dataclasses import dataclass

from flax import nnx
from jax import Array

Params = dict[str, Array]
Batch = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Losses:
    """Several scalar losses share one trunk: `losses(params)` gives `{name: scalar}`.

    `trunk(params)` computes the features, any pytree. Each `heads[name](params, features)` is a scalar that may
    also touch any parameter directly (weight decay touches nothing else).
    """

    trunk: Callable[[Params], Array]
    heads: dict[str, Callable[[Params, Array], Array]]

    def __post_init__(self) -> None:
        if not self.heads:
            raise ValueError("`heads` must name at least one loss (got none)")

    def __call__(self, params: Params) -> dict[str, Array]:
        z = self.trunk(params)
        return {name: head(params, z) for name, head in self.heads.items()}


def call(module: nnx.Module, params: Params, name: str, *inputs: Array) -> Array:
    """`module` runs on the entries of `params` below `name.`; its own values are never read."""
    graph, state = nnx.split(module)
    own = [(path, leaf.replace(params[".".join(map(str, (name, *path)))])) for path, leaf in nnx.to_flat_state(state)]
    return nnx.merge(graph, nnx.from_flat_state(own))(*inputs)
