"""Second derivatives: what they cost by mode, and where a mode has none."""

from typing import Any

from comparisons.page.figures import figure
from comparisons.page.read import Run
from comparisons.rows import Row

TITLE = "Higher order"
SEE = (
    "A Hessian-vector product can be taken in three modes. They agree where all are defined; each operation below has "
    "a mode without a second derivative, or with a wrong one, and a form that works in all three."
)
COMMAND = "python -m comparisons higher_order"
MODES = ("forward_over_reverse", "reverse_over_forward", "reverse_over_reverse")
SIDES = {"torch": "PyTorch", "jax": "JAX"}


def rows(run: Run) -> list[Row]:
    return run.rows.get("higher_order", [])


def group(row: Row) -> str:
    return f"higher order, {row.get('kind', 'all')}"


def context(run: Run) -> dict[str, Any]:
    limits = [row for row in rows(run) if row.get("kind") == "limit"]
    found = {(row["framework"], row["case"], row["mode"]): row for row in limits}
    cases = {(row["framework"], row["case"]): row["recipe"] for row in limits}
    lines = [
        {
            "case": case,
            "side": SIDES[side],
            "recipe": recipe,
            "cells": [_cell(run, found.get((side, case, mode))) for mode in MODES],
        }
        for (side, case), recipe in cases.items()
    ]
    return {"modes": [mode.replace("_", " ") for mode in MODES], "limits": lines}


def _cell(run: Run, row: Row | None) -> dict[str, Any]:
    if row is None:
        return {"state": "none", "text": "not measured", "anchor": ""}
    if row["status"] == "ok":
        return {"state": "ok", "text": "defined", "anchor": run.anchor(row)}
    if row["status"] != "unsupported":
        return {"state": "bad", "text": row["status"], "anchor": run.anchor(row)}
    if "error" in row:
        return {"state": "bad", "text": "wrong by ", "number": figure(run, row, "error", "error")}
    return {"state": "none", "text": "raises", "anchor": run.anchor(row)}
