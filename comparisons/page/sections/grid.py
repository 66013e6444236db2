"""Problem x strategy: the worst error of all its gradients."""

from typing import Any

from comparisons.page.figures import plain
from comparisons.page.listing import anchor
from comparisons.page.read import Run
from comparisons.problems import SIZES
from comparisons.rows import Row
from comparisons.scenarios import EVERY

TITLE = "The grid"
SEE = (
    "Every gradient that was measured is the same in PyTorch and in JAX, by every strategy: in float64 the worst "
    "error, relative to leaf scale, stays below 1e-12 (a dot stands for a cell that was not measured)."
)
COMMAND = "python -m comparisons gradients --full"
ERRORS = ("relative_error", "within_torch", "within_jax")


def rows(run: Run) -> list[Row]:
    return run.rows.get("gradients", [])


def group(row: Row) -> str:
    return f"{row['problem']}, {_label(row)}"


def context(run: Run) -> dict[str, Any]:
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows(run):
        cells.setdefault((_label(row), row["problem"]), []).append(row)
    problems = list(SIZES)
    labels = [label for name in EVERY for label in (name, f"{name}, no jit")]
    lines: list[dict[str, Any]] = [
        {
            "label": label,
            "order": EVERY[label.split(",")[0]].order,
            "cells": [_cell(run, cells, label, problem) for problem in problems],
        }
        for label in labels
        if any(label == found for found, _ in cells)
    ]
    lacking = any(cell["lacking"] for line in lines for cell in line["cells"])
    return {"problems": problems, "lines": lines, "orders": {line["order"] for line in lines}, "lacking": lacking}


def _label(row: Row) -> str:
    return row["strategy"] + (", no jit" if row.get("mode") == "op-by-op" else "")


def _cell(run: Run, cells: dict, label: str, problem: str) -> dict[str, Any]:
    found = cells.get((label, problem), [])
    wrong = [row for row in found if row["status"] not in ("ok", "unsupported")]
    lacking = found[0]["reason"] if found and all(row["status"] == "unsupported" for row in found) else ""
    worst = max(
        ((row[key], number, key) for number, row in enumerate(found) for key in ERRORS if _shown(row, key)),
        default=None,
    )
    eps = []
    for side in ("torch", "jax"):
        of_side = [row for row in found if row.get("framework") == side and row.get("eps") is not None]
        if of_side:
            eps.append(plain(run, max(of_side, key=lambda row: row["eps"]), "eps", "one"))
    return {
        "anchor": anchor(run, f"{problem}, {label}"),
        "measured": bool(found),
        "status": wrong[0]["status"] if wrong else "ok",
        "lacking": lacking,
        "worst": plain(run, found[worst[1]], worst[2], "error") if worst else "",
        "eps": eps if len(eps) == 2 else [],
    }


def _shown(row: Row, key: str) -> bool:
    return row.get("dtype") == "float64" and row.get(key) is not None
