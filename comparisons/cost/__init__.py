"""What do the strategies cost? Operations, time and peak, beside the theory and the peers."""

from collections.abc import Iterable

from comparisons.cost.tables import tables
from comparisons.rows import Unit

__all__ = ["PARTS", "tables", "units"]

PARTS = ("flops",)


def units(
    parts: Iterable[str] = (),
    problems: Iterable[str] = (),
    strategies: Iterable[str] = (),
    ks: Iterable[int] = (),
    full: bool = False,
    device: str = "cpu",
) -> list[Unit]:
    """The named parts, or all: a unit is measured, and written, as one."""
    from comparisons.cost import counted  # the tables are read without the frameworks

    wanted = set(parts) or set(PARTS)
    found: list[Unit] = []
    if "flops" in wanted:
        found += counted.units(problems, strategies, full)
    return found
