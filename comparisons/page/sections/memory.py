"""Held bytes over a step, the peaks, and how both grow with the number of losses."""

import re
from typing import Any

from comparisons.page.chart import Series, chart
from comparisons.page.figures import cell, figure
from comparisons.page.read import Run
from comparisons.rows import Row
from comparisons.scenarios import STRATEGIES

TITLE = "Memory over a step"
SEE = (
    "What is held between the forward and the last backward, for each strategy: PyTorch's line falls as backwards "
    "pass, JAX's stays until the pullback is dropped. Observed and planned peaks are different things and are named."
)
COMMAND = "python -m comparisons memory"
SIDES = {"torch": "PyTorch", "jax": "JAX"}
MOMENT = re.compile(r"forward|backward \d+|dropped")
AXES = {"losses": "number of losses K", "depth": "layers", "batch": "batch"}
SWEEP = re.compile(r"(?P<config>b16-w8-d3)-l(?P<losses>\d+)-(?P<hidden>h5)")


def rows(run: Run) -> list[Row]:
    return [row for row in run.rows.get("memory", []) if "strip" not in row]


def group(row: Row) -> str:
    if row.get("sweep"):
        return "closed forms, many_heads"
    if row.get("curve"):
        return f"memory, many_heads by {row['curve']}"
    if row.get("behaviour"):
        return "memory, behaviours"
    return f"memory, {row.get('problem') or 'other'}, {'simulated' if _simulated(row) else 'measured'}"


def _simulated(row: Row) -> bool:
    return "/simulated/" in row["id"]


def context(run: Run) -> dict[str, Any]:
    found: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for row in rows(run):
        if row.get("strategy") in STRATEGIES and row.get("phase") and "curve" not in row and not _simulated(row):
            found.setdefault(row["problem"], {}).setdefault((row["strategy"], row["framework"]), []).append(row)
    problems = [
        {"name": name, "small": _small(cells), "ledger": [_line(run, *key, members) for key, members in cells.items()]}
        for name, cells in found.items()
    ]
    return {
        "problems": problems,
        "curves": _curves(rows(run)),
        "forms": _forms(rows(run)),
        "behaviours": [_behaviour(run, row) for row in rows(run) if row.get("behaviour")],
    }


def _small(cells: dict[tuple[str, str], list[Row]]) -> list[dict[str, Any]]:
    """One small chart a strategy, all of them on one scale."""
    marks = {
        key: [row["bytes"] for row in members if MOMENT.fullmatch(row["phase"]) and "bytes" in row]
        for key, members in cells.items()
    }
    highest = max((max(values) for values in marks.values() if values), default=1)
    made = []
    for name in STRATEGIES:
        lines = [
            Series(title, list(enumerate(marks[name, side])), tone)
            for tone, (side, title) in enumerate(SIDES.items())
            if marks.get((name, side))
        ]
        if lines:
            length = max(len(line.points) for line in lines)
            names = ["fwd", *map(str, range(1, length - 1)), "end"]
            drawn = chart(lines, "", "", (208, 128), names=names, limits=(0, highest))
            made.append({"strategy": name, "chart": drawn, "sides": [line.name for line in lines]})
    return made


def _line(run: Run, strategy: str, framework: str, rows: list[Row]) -> dict[str, Any]:
    by_phase = {row["phase"]: row for row in rows}
    last = by_phase.get("peak") or by_phase.get("plan")
    return {
        "strategy": strategy,
        "side": SIDES[framework],
        "cells": [
            figure(run, by_phase[name], "bytes", "bytes") if "bytes" in by_phase.get(name, {}) else "-"
            for name in ("forward", "last", "dropped")
        ],
        "peak": figure(run, last, "bytes", "bytes") if last and "bytes" in last else "-",
        "kind": last["kind"] if last else "",
    }


def _forms(rows: list[Row]) -> dict[str, Any] | None:
    """Held bytes after the forward over the number of losses, measured, beside the closed form."""
    points: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    theory: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for row in rows:
        found = SWEEP.fullmatch(row.get("sweep") or "")
        if found and row["phase"] == "forward" and row["framework"] in SIDES:
            points[row["framework"]].append((int(found["losses"]), row["bytes"]))
            theory[row["framework"]].append((int(found["losses"]), row["predicted"]))
    lines = [Series(SIDES[side], sorted(points[side]), tone) for tone, side in enumerate(SIDES) if points[side]]
    lines += [
        Series(f"{SIDES[side]}, closed form", sorted(theory[side]), tone, bare=True, dashed=True)
        for tone, side in enumerate(SIDES)
        if theory[side]
    ]
    return chart(lines, "number of losses K", "bytes held after the forward") if lines else None


def _curves(rows: list[Row]) -> list[dict[str, Any]]:
    """Held bytes of each strategy along each axis, a chart a side."""
    found: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        if row.get("curve") and row.get("phase") == "forward" and row["status"] == "ok":
            lines = found.setdefault((row["curve"], row["framework"]), {})
            lines.setdefault(row["strategy"], []).append((row["at"], row["bytes"]))
    made, names = [], list(dict.fromkeys(name for lines in found.values() for name in lines))
    for (axis, side), lines in found.items():
        series = [Series(name, sorted(points), names.index(name)) for name, points in lines.items()]
        drawn = chart(series, AXES.get(axis, axis), "bytes held after the forward")
        made.append({"title": f"{SIDES[side]}, over the {axis}", "chart": drawn})
    return made


def _behaviour(run: Run, row: Row) -> dict[str, Any]:
    return {
        "anchor": run.anchor(row),
        "side": SIDES.get(row["framework"], row["framework"]),
        "says": row.get("says") or f"{row['behaviour'].replace('_', ' ')}: {row.get('reason', '')}",
        "holds": {"ok": "✓", "unsupported": "-"}.get(row["status"], "✗"),
        "figures": cell(row.get("figures")),
        "reason": row.get("reason", "") if row["status"] not in ("ok", "unsupported") else "",
    }
