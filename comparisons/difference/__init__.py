"""Two sets of gradients -> what differs, where, by how much, and a hint at the cause."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from comparisons.difference import text
from comparisons.difference.names import same_names
from comparisons.difference.pair import FLOOR, Pair, compared_leaf, largest
from comparisons.usage import BadInput

__all__ = ["FLOOR", "TOLERANCE", "UNUSED", "Difference", "Gradients", "Pair", "difference", "same_names"]

Gradients = Mapping[str, Mapping[str, np.ndarray | None]]

TOLERANCE = 1e-12
UNUSED = ("zeros", "none", "error")


class Difference(NamedTuple):
    """Every (loss, parameter) pair, worst first; its text shows those that differ."""

    pairs: tuple[Pair, ...]
    names: tuple[str, str]
    order: int = 1

    @property
    def unequal(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if not pair.equal)

    @property
    def rest(self) -> str:
        """A line for each pair that differs and that the text only counts."""
        common, _ = text.shared(self.unequal)
        return "\n".join(text.line(pair, self.order, common) for pair in self.unequal[text.SHOWN :])

    def __str__(self) -> str:
        return text.summarised(self.pairs, self.names, self.order)


def difference(
    actual: Gradients,
    expected: Gradients,
    tolerance: float = TOLERANCE,
    names: tuple[str, str] = ("actual", "expected"),
    unused: str = "zeros",
    order: int = 1,
) -> Difference:
    """Compare pair by pair in units of leaf scale.

    Both map loss -> parameter -> array. A missing gradient (None) counts as zeros; with `unused="none"` it differs from
    all but None, with `unused="error"` it is refused. `order` is 2 for Hessian-vector products: it names them so.
    ValueError where losses, parameters or shapes do not correspond.
    """
    if unused not in UNUSED:
        raise BadInput(f"`unused` must be one of {', '.join(UNUSED)} (got {unused!r})")
    if order not in (1, 2):
        raise BadInput(f"`order` must be 1 (gradients) or 2 (Hessian-vector products) (got {order!r})")
    same_names("losses", actual, expected, names)
    pairs = []
    for loss, grads in expected.items():
        same_names(f"parameters of loss {loss!r}", actual[loss], grads, names)
        most = max(map(largest, grads.values()))
        for parameter in grads:
            pairs.append(compared_leaf(loss, parameter, actual, expected, most, tolerance, names, unused))
    return Difference(tuple(sorted(pairs, key=lambda pair: -pair.relative_error)), names, order)
