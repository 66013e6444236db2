"""What does each framework hold, to the byte, and when does it let go?"""

from comparisons import scenarios
from comparisons.memory.tables import tables
from comparisons.rows import Unit
from comparisons.scenarios import Cell

__all__ = ["cells", "curves", "narrow", "simulate", "tables", "units"]


def units(grid: list[Cell], size: str, device: str) -> list[Unit]:
    """What looking costs, the ledger of the cells, the closed forms' sweep, the curves, the stated behaviours.

    What is timed comes first: the collector runs between its rounds, and has least to look at then.
    """
    from comparisons.memory import along, behaviours, ledger, looking, strip, sweep  # no framework for tables

    ledgers = [*ledger.units(grid, size, device), *sweep.units(device), *along.units()]
    return [*looking.units(device), *ledgers, *strip.units(device), *behaviours.units(device)]


def narrow(grid: list[Cell], size: str, device: str) -> list[Unit]:
    """The ledger of the cells and nothing else: what is taken where problems or strategies are named."""
    from comparisons.memory import ledger

    return ledger.units(grid, size, device)


def cells(full: bool = False) -> list[Cell]:
    """Every strategy on `many_heads`, where closed forms say what is held, and the main ones on `digits`; or all."""
    every = scenarios.cells(True, dtypes=("float64",))
    if full:
        return every
    main = [cell for cell in every if cell.problem == "digits" and scenarios.STRATEGIES[cell.strategy].main]
    return main + [cell for cell in every if cell.problem == "many_heads"]


def curves() -> list[Unit]:
    """What grows with the losses, the depth and the batch."""
    from comparisons.memory import along

    return along.units()


def simulate(grid: list[Cell], size: str, plans: bool = False, fits: str | None = None, jobs: int = 1) -> list[Unit]:
    """The same ledger of the grid's cells without allocation, and against `fits`, such as 80GB."""
    from comparisons.memory import beyond

    return beyond.units(grid, size, plans, fits, jobs)
