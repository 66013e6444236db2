"""Second derivatives: what they cost by mode, and where a mode has none."""

from typing import Any

from markupsafe import Markup

from comparisons.page.chart import Series, chart
from comparisons.page.figures import figure, plain
from comparisons.page.read import Run
from comparisons.rows import Row

TITLE = "Higher order"
SEE = (
    "A product with the Hessian costs a small multiple of a gradient in each of three modes, which agree wherever all "
    "of them are defined; not every operation has all three."
)
COMMAND = "python -m comparisons higher_order"
MODES = ("forward_over_reverse", "reverse_over_forward", "reverse_over_reverse", "hessian", "third")
SIDES = {"torch": "PyTorch", "jax": "JAX"}


def rows(run: Run) -> list[Row]:
    return run.rows.get("higher_order", [])


def group(row: Row) -> str:
    return f"higher order, {row.get('kind', 'all')}"


def context(run: Run) -> dict[str, Any]:
    every = [row for row in rows(run) if row.get("time_ratio") is not None]
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
    return {"modes": [mode.replace("_", " ") for mode in MODES], "limits": lines, "ratios": _ratios(run, every)}


def _ratios(run: Run, rows: list[Row]) -> dict[str, Any]:
    """A line a side and mode; a column a network that was measured here, and one a model that is cited."""
    kinds = {"cost": "measured", "published": "cited"}
    places = dict.fromkeys((kinds[row["kind"]], row["problem"]) for row in rows if row.get("kind") in kinds)
    columns = sorted(places, key=lambda place: place[0] == "cited")
    found: dict[tuple[str, str], dict[tuple[str, str], Row]] = {}
    for row in rows:
        if row.get("kind") in kinds and row.get("mode") != "compile":
            line = found.setdefault((row["framework"], row["strategy"].removeprefix("hvp_").replace("_", " ")), {})
            line[kinds[row["kind"]], row["problem"]] = row
    lines = [
        {"side": SIDES[side], "mode": mode, "cells": [_ratio(run, cells.get(column)) for column in columns]}
        for (side, mode), cells in found.items()
    ]
    sources = {row["source"]: None for row in rows if row.get("source")}
    return {"columns": columns, "lines": lines, "sources": list(sources), "charts": _charts(found, columns)}


def _charts(found: dict[tuple[str, str], dict[tuple[str, str], Row]], columns: list[tuple[str, str]]) -> dict[str, Any]:
    """A chart a side: the time of a product in each network, a mark a mode."""
    limits = (0, max((row["time_ratio"] for cells in found.values() for row in cells.values()), default=1))
    names = [f"{problem}*" if kind == "cited" else problem for kind, problem in columns]
    made = {}
    for side, title in SIDES.items():
        modes = {mode: cells for (framework, mode), cells in found.items() if framework == side}
        lines = [
            Series(mode, [(columns.index(place), row["time_ratio"]) for place, row in cells.items()], tone, dots=True)
            for tone, (mode, cells) in enumerate(modes.items())
        ]
        if lines:
            made[title] = chart(
                lines, "", "time, in terms of one gradient (* cited)", (460, 230), names=names, limits=limits
            )
    return made


def _ratio(run: Run, row: Row | None) -> list[Markup]:
    """Time in terms of a gradient's, with its quartiles where it was measured here, and what the FLOPs say."""
    if row is None:
        return []
    time = figure(run, row, "time_ratio", "ratio")
    if row.get("spread"):
        low, high = (plain(run, row, f"spread.{k}", "ratio") for k in (0, 1))
        time += Markup(" <small>{} to {}</small>").format(low, high)
    count = "predicted_ratio" if row["kind"] == "published" else "flop_ratio"
    return [time, figure(run, row, count, "ratio")]


def _cell(run: Run, row: Row | None) -> dict[str, Any]:
    if row is None:
        return {"state": "none", "text": "not measured", "anchor": ""}
    if row["status"] == "ok":
        return {"state": "ok", "text": "defined", "anchor": run.anchor(row)}
    if row["status"] != "unsupported":
        return {"state": "bad", "text": row["status"], "anchor": run.anchor(row)}
    if "error" in row:
        return {"state": "bad", "number": figure(run, row, "error", "error")}
    return {"state": "none", "text": "raises", "anchor": run.anchor(row)}
