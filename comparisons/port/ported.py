"""What joining two modules gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from comparisons.layout import Aliased, Arrays
from comparisons.usage import BadInput


class PortError(BadInput):
    """Something could not be matched, or a setting that changes the function differs; `ported` holds what was found."""

    def __init__(self, ported: "Ported"):
        super().__init__("\n".join(["the two modules are not the same network:", *map("  {}".format, ported.wrong)]))
        self.ported = ported


@dataclass
class Ported:
    """What joins a PyTorch module and a Flax module.

    `layout` maps PyTorch's parameters to Flax's. `unmatched` names layers on either side that nothing maps, `refused`
    pairs that cannot be mapped, `differing` settings that change the function, `notes` what types cannot tell.
    `variables` is the filled linen tree; an nnx module is filled in place.
    """

    module: Any
    layout: Aliased
    params: Arrays
    build: Callable[[Mapping], Any]
    variables: dict | None = None
    unmatched: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        return [*self.unmatched, *self.refused, *self.differing]

    def __str__(self) -> str:
        lines = [f"{len(self.layout)} layers joined, {len(self.params)} parameters"]
        lines += [f"  {text}" for text in self.wrong] + [f"  note: {text}" for text in self.notes]
        return "\n".join(lines)
