"""The lesson's problem: one linear layer, a squared error on its output, a squared norm of its weights."""

from torch import Tensor

from torch_impl.models.losses import Batch, Losses, Params


def losses(batch: Batch) -> Losses:
    """Two losses that share a parameter and no saved data: `reg` reads `w` and never `y = x @ w`."""

    def trunk(p: Params) -> Tensor:
        return batch["x"] @ p["w"]

    def main(p: Params, y: Tensor) -> Tensor:
        return ((y - 1) ** 2).sum()

    def reg(p: Params, y: Tensor) -> Tensor:
        return (p["w"] ** 2).sum()

    return Losses(trunk, {"main": main, "reg": reg})
