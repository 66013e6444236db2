"""What does each framework hold, to the byte, and when does it let go?"""

from comparisons.memory.tables import tables
from comparisons.rows import Unit
from comparisons.scenarios import Cell

__all__ = ["small", "tables", "units"]


def units(grid: list[Cell], size: str, device: str) -> list[Unit]:
    """The ledger of the grid's cells, the closed forms' sweep, and the stated behaviours."""
    from comparisons.memory import behaviours, ledger, sweep  # the tables are read without the frameworks

    return [*ledger.units(grid, size, device), *sweep.units(device), *behaviours.units(device)]


def small(device: str) -> list[Unit]:
    """What the main job takes: the ledger of two problems at their tiny sizes, and the stated behaviours."""
    from comparisons.memory import behaviours, ledger
    from comparisons.scenarios import cells

    grid = cells(True, ["digits", "many_heads"], dtypes=("float64",))
    return [*ledger.units(grid, "tiny", device), *behaviours.units(device)]
