"""Second order and beyond: what is not defined in which mode, nested derivatives, flags, and what is made of them."""

from importlib import import_module

from comparisons.rows import Row, Table, Unit

__all__ = ["tables", "units"]

# Each has `units`, `table`, and KINDS: the rows that are its own. `implied` is imported without the frameworks.
SECTIONS = ("limits", "derivatives", "confusion", "flags", "applications", "weights")


def units(full: bool = False, device: str = "cpu", size: str = "default") -> list[Unit]:
    """Every section's units, in order; then the judge of products, what they cost, and what was published of that."""
    found = [unit for section in SECTIONS for unit in _section(section).units()]
    for section in ("taylor", "ratios"):
        found += _section(section).units(full, device, size)
    return [*found, *_section("anomaly").units(device), *_section("published").units()]


def tables(rows: list[Row]) -> list[Table]:
    own = [(_section(s), [row for row in rows if row["kind"] in _section(s).KINDS]) for s in SECTIONS if rows]
    return [*(module.table(found) for module, found in own if found), *_section("cost_tables").tables(rows)]


def _section(name: str):
    return import_module(f"comparisons.higher_order.{name}")
