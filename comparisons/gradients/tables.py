"""The grids: how far apart, strategy by problem."""

from collections import defaultdict
from collections.abc import Iterable

from comparisons.problems import SIZES
from comparisons.rows import Row, Table
from comparisons.scenarios import EVERY


def tables(rows: list[Row]) -> list[Table]:
    """The grids, of what was measured."""
    return [table for table in (gradient_grid(rows), second_order_grid(rows), precision_grid(rows)) if table.lines]


def gradient_grid(rows: Iterable[Row]) -> Table:
    """Strategy x problem: the largest relative error of all its float64 rows, or what is wrong with it."""
    title = "float64: worst error, between the sides and within each, relative to leaf scale (allowed 1e-12)"
    return _grid(title, [row for row in rows if row["dtype"] == "float64" and row["order"] == 1], _verdict)


def second_order_grid(rows: Iterable[Row]) -> Table:
    """The same for products with the Hessian, Hessians and their diagonals, of each loss and of the sum."""
    title = "second order, float64: worst error of each loss and of the sum, relative to leaf scale (allowed 1e-12)"
    return _grid(title, [row for row in rows if row["dtype"] == "float64" and row["order"] == 2], _verdict)


def precision_grid(rows: Iterable[Row]) -> Table:
    """Strategy x problem: how far each side's float32 gradient is from the float64 reference."""
    title = "float32: worst distance to the float64 reference in eps at leaf scale, PyTorch/JAX"
    return _grid(title, [row for row in rows if row["dtype"] == "float32"], _eps)


def _grid(title: str, rows: list[Row], text) -> Table:
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        cells[row["strategy"] + (", no jit" if row["mode"] == "op-by-op" else ""), row["problem"]].append(row)
    known = {label: None for name in EVERY for label in (name, f"{name}, no jit")}
    labels = [label for label in known if any(label == found for found, _ in cells)]
    problems = [name for name in SIZES if any(name == found for _, found in cells)]
    lines = [[label, *(text(cells[label, p]) if (label, p) in cells else "" for p in problems)] for label in labels]
    return Table(title, ["strategy", *problems], lines)


def _verdict(rows: list[Row]) -> str:
    if any(row["status"] == "failed" for row in rows):
        return "FAILED"
    if all(row["status"] == "unsupported" for row in rows):
        return "-"
    errors = [row[key] for row in rows for key in ("relative_error", "within_torch", "within_jax")]
    worst = max(error for error in errors if error is not None)
    return f"{'DIFFERS ' if any(row['status'] != 'ok' for row in rows) else ''}{worst:.1e}" if worst else "0"


def _eps(rows: list[Row]) -> str:
    if all(row["status"] == "unsupported" for row in rows):
        return "-"
    if any(row["status"] != "ok" for row in rows):
        return "FAILED"
    worst = {side: max(row["eps"] for row in rows if row["framework"] == side) for side in ("torch", "jax")}
    return "/".join(f"{eps:.1f}" for eps in worst.values())
