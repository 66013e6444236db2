"""FLOPs, time and peers, over the number of losses."""

from typing import Any

from comparisons.page.figures import figure
from comparisons.page.read import Run
from comparisons.problems import SIZES
from comparisons.rows import Row
from comparisons.scenarios import STRATEGIES

TITLE = "Cost over K"
SEE = (
    "FLOPs are counted and have no noise: one backward a loss costs K trips through the trunk, a summed loss one. "
    "Times are ratios to the summed gradient, of pairs taken in turn."
)
COMMAND = "python -m comparisons cost"


def rows(run: Run) -> list[Row]:
    return run.rows.get("cost", [])


def group(row: Row) -> str:
    return f"cost, {row.get('kind', 'all')}" + (f", {row['problem']}" if row.get("problem") else "")


def context(run: Run) -> dict[str, Any]:
    found = {
        (row["strategy"], row["problem"], row["framework"]): row for row in rows(run) if row.get("kind") == "flops"
    }
    problems = [name for name in SIZES if any(name == key[1] for key in found)]
    lines = [
        {
            "strategy": name,
            "cells": [
                [
                    figure(run, found[name, problem, side], "flop_ratio", "ratio")
                    for side in ("torch", "jax")
                    if "flop_ratio" in found.get((name, problem, side), {})
                ]
                for problem in problems
            ],
        }
        for name in STRATEGIES
        if any(name == key[0] for key in found)
    ]
    return {"problems": problems, "lines": lines}
