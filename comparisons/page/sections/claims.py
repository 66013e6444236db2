"""The lesson's claims, the error cards, and where strategies are not equal."""

from typing import Any

from comparisons.facts import entries
from comparisons.page.read import Run
from comparisons.rows import Row
from comparisons.scenarios import STRATEGIES

TITLE = "Claims, errors, and where strategies differ"
SEE = (
    "Every claim was tried and every pitfall reproduced with its remedy at work; where strategies do not agree, the "
    "sharpest case is one loss's infinity, which batched cotangents multiply by 0 into everyone's NaN."
)
COMMAND = "python -m comparisons lesson && python -m comparisons pitfalls"
MARKS = {"equal": "=", "different": "D", "poisoned": "P", "reference": "ref", "raises": "!"}
FIRST = "poison"


def rows(run: Run) -> list[Row]:
    return [*run.rows.get("lesson", []), *run.rows.get("pitfalls", [])]


def group(row: Row) -> str:
    if "claim" in row:
        return "claims"
    return f"pitfalls, {row.get('kind', 'all')}" + (f", {row['case']}" if row.get("kind") == "unequal" else "")


def context(run: Run) -> dict[str, Any]:
    claims = [_facts(run, row, ("evidence", "also", "jax")) for row in run.rows.get("lesson", [])]
    pitfalls = run.rows.get("pitfalls", [])
    cards = [_facts(run, row, ("left", "fix", "other")) for row in pitfalls if row.get("kind") == "card"]
    return {
        "claims": claims,
        "cards": sorted(cards, key=lambda row: FIRST not in row["name"]),
        "unequal": _unequal(run, [row for row in pitfalls if row.get("kind") == "unequal"]),
        "strategies": list(STRATEGIES),
    }


def _facts(run: Run, row: Row, fields: tuple[str, ...]) -> dict[str, Any]:
    return row | {"anchor": run.anchor(row), "facts": {field: entries(row.get(field) or "") for field in fields}}


def _unequal(run: Run, rows: list[Row]) -> list[dict[str, Any]]:
    """A line a case, the poisoned ones first; a cell has PyTorch's outcome and JAX's."""
    found = {(row["case"], row["strategy"], row["framework"]): row for row in rows}
    cases = dict.fromkeys(row["case"] for row in rows)
    poisoned = {row["case"] for row in rows if row.get("outcome") == "poisoned"}
    lines = []
    for case in sorted(cases, key=lambda name: name not in poisoned):
        cells = [
            [_outcome(run, found[case, name, side]) for side in ("torch", "jax") if (case, name, side) in found]
            for name in STRATEGIES
        ]
        why = {
            row["why"]: None
            for row in rows
            if row["case"] == case and row.get("why") and row.get("outcome") not in ("equal", "reference")
        }
        lines.append({"case": case, "cells": cells, "why": list(why)})
    return lines


def _outcome(run: Run, row: Row) -> dict[str, Any]:
    outcome = row.get("outcome", row["status"])
    side = {"torch": "PyTorch", "jax": "JAX"}[row["framework"]]
    text = MARKS.get(str(outcome), "!" if row["status"] == "ok" else row["status"])
    return {"anchor": run.anchor(row), "outcome": outcome, "text": text, "side": side}
