"""What was measured, as tables."""

from comparisons.problems import SIZES
from comparisons.rows import Row, Table
from comparisons.scenarios import EVERY


def tables(rows: list[Row]) -> list[Table]:
    """The tables of what was measured; those without a line are left out."""
    return [table for table in (flops(rows), analysis(rows)) if table.lines]


def flops(rows: list[Row]) -> Table:
    """Strategy x problem: FLOPs in terms of the summed gradient's, PyTorch/JAX."""
    title = "FLOPs of products and convolutions in terms of the summed gradient's, PyTorch/JAX; each is equal to theory"
    found = {(row["strategy"], row["problem"], row["framework"]): row for row in rows if row["kind"] == "flops"}
    strategies = [name for name in EVERY if any(name == strategy for strategy, _, _ in found)]
    problems = [name for name in SIZES if any(name == problem for _, problem, _ in found)]
    lines = [
        [name, *("/".join(_ratio(found.get((name, p, side))) for side in ("torch", "jax")) for p in problems)]
        for name in strategies
    ]
    return Table(title, ["strategy", *problems], lines)


def analysis(rows: list[Row]) -> Table:
    """XLA's own count beside ours, and what sets them apart."""
    title = "XLA's cost analysis in terms of the FLOPs counted: elementwise work counts, a loop's body once"
    lines = [
        [row["problem"], row["strategy"], f"{row['xla_ratio']:.3f}", row["xla_why"]] for row in rows if "xla" in row
    ]
    return Table(title, ["problem", "strategy", "ratio", "apart by"], lines)


def _ratio(row: Row | None) -> str:
    if row is None:
        return "-"
    if row["status"] != "ok":
        return row["status"].upper()
    return f"{row['flop_ratio']:.3f}"
