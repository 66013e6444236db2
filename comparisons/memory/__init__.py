"""What does each framework hold, to the byte, and when does it let go?"""

from comparisons.memory.tables import tables
from comparisons.rows import Unit
from comparisons.scenarios import Cell

__all__ = ["curves", "simulate", "tables", "units"]


def units(grid: list[Cell], size: str, device: str) -> list[Unit]:
    """The ledger of the grid's cells, and the closed forms' sweep."""
    from comparisons.memory import along, ledger, looking, sweep  # the tables are read without the frameworks

    return [*ledger.units(grid, size, device), *sweep.units(device), *along.units(), *looking.units(device)]


def curves() -> list[Unit]:
    """What grows with the losses, the depth and the batch."""
    from comparisons.memory import along

    return along.units()


def simulate(grid: list[Cell], size: str, plans: bool = False, fits: str | None = None) -> list[Unit]:
    """The same ledger of the grid's cells without allocation, and against `fits`, such as 80GB."""
    from comparisons.memory import beyond

    return beyond.units(grid, size, plans, fits)
