"""What does each framework hold, to the byte, and when does it let go?"""

from comparisons.memory.tables import tables
from comparisons.rows import Unit
from comparisons.scenarios import Cell

__all__ = ["curves", "simulate", "small", "tables", "units"]


def units(grid: list[Cell], size: str, device: str) -> list[Unit]:
    """The ledger of the cells, the closed forms' sweep, the curves, the stated behaviours, what looking costs."""
    from comparisons.memory import along, behaviours, ledger, looking, strip, sweep  # no framework for tables

    ledgers = [*ledger.units(grid, size, device), *sweep.units(device), *along.units()]
    return [*ledgers, *strip.units(device), *behaviours.units(device), *looking.units(device)]


def small(device: str) -> list[Unit]:
    """What the main job takes: tiny ledgers of two problems, the strip, the behaviours and the curves."""
    from comparisons.memory import along, behaviours, ledger, strip
    from comparisons.scenarios import cells

    grid = cells(True, ["digits", "many_heads"], dtypes=("float64",))
    ledgers = [*ledger.units(grid, "tiny", device), *strip.units(device)]
    return [*ledgers, *behaviours.units(device), *along.units()]


def curves() -> list[Unit]:
    """What grows with the losses, the depth and the batch."""
    from comparisons.memory import along

    return along.units()


def simulate(grid: list[Cell], size: str, plans: bool = False, fits: str | None = None) -> list[Unit]:
    """The same ledger of the grid's cells without allocation, and against `fits`, such as 80GB."""
    from comparisons.memory import beyond

    return beyond.units(grid, size, plans, fits)
