"""What a behaviour's check has seen, and what had to be seen."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from comparisons.memory.predictions import Sizes

SMALL = Sizes(batch=32, width=16, depth=2, losses=3)
LAYERS = 4
ARRAY = 4 * SMALL.batch * SMALL.width
HEAD = 4 * SMALL.batch


class Seen(NamedTuple):
    """The function that states the behaviour (its first line is the sentence), its figures, and what must hold.

    `expected` are figures in closed form, equal to the byte; `relations` are sentences about the others.
    """

    function: Callable
    figures: dict[str, int]
    expected: dict[str, int]
    relations: Mapping[str, bool] = MappingProxyType({})

    @property
    def says(self) -> str:
        return (self.function.__doc__ or "").splitlines()[0]

    @property
    def call(self) -> str:
        return f"{self.function.__module__}.{self.function.__name__}"

    @property
    def wrong(self) -> str:
        """What does not hold, in words; empty where all does."""
        for name, expected in self.expected.items():
            if self.figures.get(name) != expected:
                found = self.figures.get(name)
                return f"{name}: {'nothing' if found is None else f'{found:,}'}, but the closed form says {expected:,}"
        return next((f"not so: {text}" for text, holds in self.relations.items() if not holds), "")


def beside(plain: dict[str, int], checkpointed: dict[str, int]) -> dict[str, int]:
    """Two calls' figures as one."""
    pairs = (("plain", plain), ("checkpointed", checkpointed))
    return {f"{figure}, {name}": values[figure] for figure in plain for name, values in pairs}
