"""The lesson's problem: one linear layer, a squared error on its output, a squared norm of its weights."""

from jax import Array

from jax_impl.models.losses import Batch, Losses, Params


def losses(batch: Batch) -> Losses:
    """Two losses that share a parameter and no saved data: `reg` reads `w` and never `y = x @ w`."""

    def trunk(p: Params) -> Array:
        return batch["x"] @ p["w"]

    def main(p: Params, y: Array) -> Array:
        return ((y - 1) ** 2).sum()

    def reg(p: Params, y: Array) -> Array:
        return (p["w"] ** 2).sum()

    return Losses(trunk, {"main": main, "reg": reg})
