"""Norms of the losses' gradients and the cosines between them, while a network is trained."""

from itertools import combinations
from typing import Any

from comparisons.page.chart import Series, chart
from comparisons.page.figures import figure
from comparisons.page.read import Run
from comparisons.rows import Row

TITLE = "Angles between the losses' gradients"
SEE = "Where a cosine falls below zero, a step along one loss's own gradient harms the other."
COMMAND = "python -m comparisons angles"


def rows(run: Run) -> list[Row]:
    return run.rows.get("angles", [])


def group(row: Row) -> str:
    return "angles"


def context(run: Run) -> dict[str, Any]:
    found = [row for row in rows(run) if "step" in row]
    if not found:
        return {"failed": rows(run)}
    losses = [key.removeprefix("norm_") for key in found[0] if key.startswith("norm_")]
    pairs = [(a, b) for a, b in combinations(losses, 2)]
    apart = max((row for row in found if "apart" in row), key=lambda row: row["apart"], default=None)
    ends = sorted({row["step"] for row in found})
    shown = [row for row in found if row["framework"] == "torch" and row["step"] in (ends[0], ends[-1])]
    return {
        "norms": chart(
            _lines(found, {name: f"norm_{name}" for name in losses}), "step", "norm of the gradient", log=True
        ),
        "cosines": chart(
            _lines(found, {f"{a}, {b}": f"cos_{a}_{b}" for a, b in pairs}), "step", "cosine", limits=(-1, 1)
        ),
        "apart": figure(run, apart, "apart", "error") if apart else None,
        "matrices": [{"step": figure(run, row, "step", "int"), "lines": _matrix(run, row, losses)} for row in shown],
        "losses": losses,
        "failed": [row for row in rows(run) if row["status"] == "failed"],
    }


def _lines(rows: list[Row], fields: dict[str, str]) -> list[Series]:
    """PyTorch's as lines, JAX's as marks on them."""
    made = []
    for tone, (name, field) in enumerate(fields.items()):
        for side in ("torch", "jax"):
            points = [(row["step"], row[field]) for row in rows if row["framework"] == side]
            if points:
                made.append(
                    Series(name if side == "torch" else "", points, tone, bare=side == "torch", dots=side == "jax")
                )
    return made


def _matrix(run: Run, row: Row, losses: list[str]) -> list[dict[str, Any]]:
    lines = []
    for a in losses:
        cells: list[dict[str, Any]] = []
        for b in losses:
            key = next((key for key in (f"cos_{a}_{b}", f"cos_{b}_{a}") if key in row), "")
            value = row[key] if key else None
            cells.append({"number": figure(run, row, key, "signed") if key else "", "value": value})
        lines.append({"loss": a, "cells": cells})
    return lines
