"""Where time is measured: five regimes, and what is swept in them."""

from collections.abc import Iterable
from typing import NamedTuple

from comparisons.cost import theory
from comparisons.problems import BUILD, Problem

KS = (1, 2, 4, 8, 16, 32)


class Regime(NamedTuple):
    """A problem and its sizes; `losses` is set by each measurement where the problem has it."""

    problem: str
    sizes: dict[str, int]

    @property
    def any_k(self) -> bool:
        return self.problem == "many_heads"


REGIMES = {
    "overhead": Regime("many_heads", {"batch": 32, "width": 64, "depth": 3}),
    "compute": Regime("many_heads", {"batch": 256, "width": 256, "depth": 3}),
    "heads": Regime("many_heads", {"batch": 128, "width": 128, "depth": 2, "hidden": 512}),
    "conv": Regime("conv", {"batch": 128, "width": 16}),
    "attention": Regime("attention", {"batch": 128, "width": 32, "depth": 2}),
}
TIMED = ("summed", "per_loss_retained", "per_loss_recomputed", "per_loss_batched")
SWEPT = ("summed", "per_loss_retained", "per_loss_batched")
SWEEPS = {"losses": KS, "depth": (1, 2, 4, 8), "batch": (32, 64, 128, 256)}


def chosen(names: Iterable[str]) -> list[str]:
    """The regimes that are named, or whose problem is; all where nothing is."""
    named = set(names)
    return [name for name, regime in REGIMES.items() if not named or named & {name, regime.problem}]


class Place(NamedTuple):
    """One point of measurement: a regime with K losses, or with another size changed."""

    regime: str
    changes: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        return REGIMES[self.regime].problem

    @property
    def sizes(self) -> dict[str, int]:
        return REGIMES[self.regime].sizes | dict(self.changes)

    @property
    def stated(self) -> Problem:
        return BUILD[self.name](**self.sizes)

    @property
    def losses(self) -> int:
        return len(self.parts.heads)

    @property
    def parts(self) -> theory.Parts:
        return theory.BUILD[self.name](**self.sizes)


def place(regime: str, k: int | None = None, **changes: int) -> Place:
    """A regime with `k` losses; conv and attention have three of their own."""
    if REGIMES[regime].any_k:
        changes = {"losses": k or 8} | changes
    return Place(regime, tuple(changes.items()))
