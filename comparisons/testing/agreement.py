"""What was compared and found equal, and how it reads."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from comparisons.difference import Difference
from comparisons.layout import Arrays


class Value(NamedTuple):
    """One loss's value on both sides; `scale` is its size, or that of the largest parameter times gradient."""

    loss: str
    jax: float
    torch: float
    scale: float

    @property
    def relative_error(self) -> float:
        return abs(self.jax - self.torch) / self.scale if self.scale else float(self.jax != self.torch)

    def __str__(self) -> str:
        error = f"{self.relative_error:.2e} of {self.scale:.2e}"
        return f"  {self.loss}: jax {self.jax:.12e}, torch {self.torch:.12e}, {error}"


def values(jax: Mapping, torch: Mapping, params: Arrays, grads: Mapping[str, Arrays]) -> tuple[Value, ...]:
    """A loss that cancels to nearly 0 is still judged on the size of what cancelled."""
    found = []
    for loss, own in grads.items():
        reach = [abs(params[name]).max(initial=0) * abs(g).max(initial=0) for name, g in own.items() if g is not None]
        found.append(Value(loss, jax[loss], torch[loss], max(abs(torch[loss]), *reach, 0.0)))
    return tuple(found)


class Agreement(NamedTuple):
    """What was found equal in float64, and how far each side's float32 gradient is from the float64 one.

    `products` holds one difference for each direction of order 2, `strategies` one for each strategy and side.
    `float32` maps a side to its difference, or to the reason why it was not measured.
    """

    values: tuple[Value, ...]
    gradients: Difference
    products: tuple[Difference, ...]
    strategies: Mapping[str, Difference]
    float32: Mapping[str, Difference | str]

    def __str__(self) -> str:
        worst = max((pair.relative_error for pair in self.gradients.pairs), default=0.0)
        lines = [
            f"{self.gradients}",
            f"  {len(self.values)} of {len(self.values)} loss values equal; worst gradient {worst:.1e} of leaf scale",
        ]
        lines += [f"  {found} along direction {k}" for k, found in enumerate(self.products, start=1)]
        lines += [f"  {found}" for found in self.strategies.values()]
        return "\n".join([*lines, *(_precision(side, found) for side, found in self.float32.items())])


def _precision(side: str, found: Difference | str) -> str:
    if isinstance(found, str):
        return f"  float32 in {side}: {found}"
    worst = found.pairs[0]
    eps = worst.relative_error / float(np.finfo(np.float32).eps)
    return f"  float32 in {side}: worst {eps:.1f} eps at leaf scale, d {worst.loss} / d {worst.parameter}"
