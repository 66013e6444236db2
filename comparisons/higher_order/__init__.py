"""Second order: what one strategy implies of another, and what is not defined in which mode."""

from comparisons.rows import Row, Table, Unit

__all__ = ["tables", "units"]


def units() -> list[Unit]:
    """Every limit of both sides, a unit each."""
    from comparisons.higher_order import limits  # `implied` is imported without the frameworks

    return limits.units()


def tables(rows: list[Row]) -> list[Table]:
    from comparisons.higher_order import limits

    return [limits.table(rows)] if rows else []
