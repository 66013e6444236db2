"""K named losses behind a shared trunk, as functions of a plain dict of tensors."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.func import functional_call

Params = dict[str, Tensor]
Batch = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Losses:
    """Several scalar losses share one trunk: `losses(params)` gives `{name: scalar}`.

    `trunk(params)` computes the features, one tensor. Each `heads[name](params, features)` is a scalar that may
    also touch any parameter directly (weight decay touches nothing else).
    """

    trunk: Callable[[Params], Tensor]
    heads: dict[str, Callable[[Params, Tensor], Tensor]]

    def __post_init__(self) -> None:
        if not self.heads:
            raise ValueError("`heads` must name at least one loss (got none)")

    def __call__(self, params: Params) -> dict[str, Tensor]:
        z = self.trunk(params)
        return {name: head(params, z) for name, head in self.heads.items()}


def call(module: nn.Module, params: Params, name: str, *inputs: Tensor) -> Tensor:
    """`module` runs on the entries of `params` below `name.`; its own values are never read."""
    prefix = f"{name}."
    own = {key.removeprefix(prefix): value for key, value in params.items() if key.startswith(prefix)}
    return functional_call(module, own, inputs)
