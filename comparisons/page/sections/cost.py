"""FLOPs, time and peers, over the number of losses."""

from typing import Any

from markupsafe import Markup

from comparisons.cost.regimes import REGIMES
from comparisons.page.chart import Series, chart
from comparisons.page.figures import figure, plain
from comparisons.page.read import Run
from comparisons.problems import SIZES
from comparisons.rows import Row
from comparisons.scenarios import STRATEGIES

TITLE = "Cost over K"
SEE = (
    "A gradient for each of K losses costs K trips backwards through the trunk, a summed loss one: so say the FLOPs "
    "(dashed, without noise), and the measured time says how much of it is felt."
)
COMMAND = "python -m comparisons cost && python -m comparisons cost --part peers --full"
SIDES = {"torch": "PyTorch", "jax": "JAX"}
AXES = {"losses": "number of losses K", "depth": "depth", "batch": "batch"}


def rows(run: Run) -> list[Row]:
    return run.rows.get("cost", [])


def group(row: Row) -> str:
    return f"cost, {row.get('kind', 'all')}" + (f", {row['regime']}" if row.get("regime") else "")


def context(run: Run) -> dict[str, Any]:
    found = rows(run)
    return {
        "flops": _flops(run, _kind(found, "flops")),
        "sweeps": _sweeps(found),
        "times": _times(run, found),
        "peers": _peers(run, _kind(found, "peer")),
        "targets": [row | {"anchor": run.anchor(row)} for row in _kind(found, "target")],
    }


def _kind(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.get("kind") == kind]


def _flops(run: Run, rows: list[Row]) -> dict[str, Any]:
    found = {(row["strategy"], row["problem"], row["framework"]): row for row in rows if "flop_ratio" in row}
    problems = [name for name in SIZES if any(name == key[1] for key in found)]
    names = [name for name in STRATEGIES if any(name == key[0] for key in found)]
    cells = [[_pair(run, [found.get((name, p, side), {}) for side in SIDES]) for p in problems] for name in names]
    return {"problems": problems, "lines": list(zip(names, cells, strict=True))}


def _pair(run: Run, both: list[Row]) -> list[Markup]:
    """PyTorch's ratio and JAX's."""
    return [figure(run, row, "flop_ratio", "ratio") for row in both if row]


def _sweeps(rows: list[Row]) -> list[dict[str, Any]]:
    """A chart for each regime, axis and side: times as marks, FLOPs as the line of theory."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in _kind(rows, "sweep"):
        if row.get("time_ratios"):
            found.setdefault((row["regime"], row["axis"], row["framework"]), []).append(row)
    made, names = [], list(dict.fromkeys(row["strategy"] for row in _kind(rows, "sweep")))
    for (regime, axis, side), members in found.items():
        lines = []
        for row in members:
            tone = names.index(row["strategy"])
            lines.append(Series(row["strategy"], list(zip(row["points"], row["time_ratios"], strict=True)), tone))
            if row.get("flop_ratios"):
                theory = list(zip(row["points"], row["flop_ratios"], strict=True))
                lines.append(Series("", theory, tone, bare=True, dashed=True))
        drawn = chart(lines, AXES.get(axis, axis), "time, in terms of summed at the first point")
        made.append({"title": f"{SIDES[side]}, {regime}", "chart": drawn})
    return made


def _times(run: Run, rows: list[Row]) -> list[dict[str, Any]]:
    """A table for each regime and number of losses."""
    places: dict[tuple, list[dict[str, Any]]] = {}
    for row in _kind(rows, "time"):
        place = (row["regime"], row["losses"], row.get("precision", ""), row.get("device", ""))
        places.setdefault(place, []).append(_time(run, row))
    return [
        {"regime": regime, "lines": lines, "precision": precision, "device": device}
        for (regime, _, precision, device), lines in sorted(places.items(), key=_in_order)
    ]


def _in_order(item: tuple[tuple, Any]) -> tuple[int, int]:
    """The regimes as their table has them, the largest K first."""
    regime, losses = item[0][:2]
    return [*REGIMES].index(regime) if regime in REGIMES else len(REGIMES), -losses


def _time(run: Run, row: Row) -> dict[str, Any]:
    spread = [plain(run, row, f"spread.{k}", "ratio") for k in (0, 1)] if row.get("spread") else []
    fields = {"time_ratio": "ratio", "flop_ratio": "ratio", "compile_seconds": "one", "peak": "bytes", "eps": "one"}
    return {
        "strategy": row["strategy"],
        "side": f"{SIDES[row['framework']]}, {row['mode']}",
        "losses": plain(run, row, "losses", "int"),
        "cells": {name: figure(run, row, name, style) for name, style in fields.items()},
        "spread": spread,
        "reason": row.get("reason", ""),
    }


def _peers(run: Run, rows: list[Row]) -> list[dict[str, Any]]:
    """A table for each regime and number of losses, each side's fastest call first."""
    places: dict[tuple, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["framework"] == "jax", row.get("time_ratio") or float("inf"))):
        places.setdefault((row["regime"], row["losses"]), []).append(_peer(run, row))
    return [{"regime": regime, "lines": lines} for (regime, _), lines in sorted(places.items(), key=_in_order)]


def _peer(run: Run, row: Row) -> dict[str, Any]:
    """A call of ours or of another project's, in terms of the summed gradient in its framework."""
    spread = [plain(run, row, f"spread.{k}", "ratio") for k in (0, 1)] if row.get("spread") else []
    return {
        "call": row["call"],
        "side": SIDES[row["framework"]],
        "losses": plain(run, row, "losses", "int"),
        "time": figure(run, row, "time_ratio", "ratio"),
        "peak": figure(run, row, "peak", "bytes"),
        "spread": spread,
        "reason": row.get("reason", ""),
    }
