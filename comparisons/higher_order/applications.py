"""Gradients inside losses, descents and solves: what each is judged by, and how far off it is."""

from functools import partial
from math import isinf

from comparisons.higher_order import meta, penalty, physics, solve
from comparisons.higher_order.judge import cell
from comparisons.rows import Row, Table, Unit

KINDS = ("penalty", "maml", "physics", "solve")


def units() -> list[Unit]:
    work = {"penalty": penalty.rows, "penalty at zero": penalty.zero_rows, "maml": meta.rows}
    work |= {f"physics  {equation}": partial(physics.rows, equation) for equation in physics.SOLUTIONS}
    work |= {"solve": solve.rows}
    return [Unit("higher_order", "applications", label, rows) for label, rows in work.items()]


def table(rows: list[Row]) -> Table:
    """One line a check: the error on each side, or of the two together."""
    cells = {(row["case"], row["check"], row["framework"]): row for row in rows}
    lines = []
    for case, check in dict.fromkeys((row["case"], row["check"]) for row in rows):
        found = [cells.get((case, check, side)) for side in ("torch", "jax", "both", "numpy")]
        allowed = max(row["allowed"] for row in found if row)
        alone = found[2] or found[3]
        texts = [_text(alone), ""] if alone else [_text(found[0]), _text(found[1])]
        lines.append([case, check, *texts, "" if allowed is None or isinf(allowed) else f"{allowed:.0e}"])
    return Table("gradients inside losses, and solves", ["case", "check", "torch/both", "jax", "allowed"], lines)


def _text(row: Row | None) -> str:
    return "NaN" if row and row["status"] == "unsupported" else cell(row, 1)
