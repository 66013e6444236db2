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
    "What is held from the forward to the last backward: PyTorch's line falls where a backward frees what it visits "
    "(the digits' last loss, a weight decay, visits nothing that is held), JAX's where a pullback is dropped."
)
COMMAND = "python -m comparisons memory"
SIDES = {"torch": "PyTorch", "jax": "JAX"}
MOMENT = re.compile(r"forward|backward \d+|dropped")
AXES = {"losses": "number of losses K", "depth": "layers", "batch": "batch"}
GROWING = {
    "forward": "bytes held after the forward",
    "peak": "peak bytes, simulated",
    "plan": "peak bytes, as XLA plans them",
}
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
    found: dict[tuple[str, str], dict[tuple[str, str], list[Row]]] = {}
    for row in rows(run):
        if row.get("strategy") in STRATEGIES and row.get("phase") and "curve" not in row and not _simulated(row):
            place = row["problem"], f"{row['size']}, on {'a GPU' if row['device'] == 'cuda' else 'the CPU'}"
            found.setdefault(place, {}).setdefault((row["strategy"], row["framework"]), []).append(row)
    shown = sorted(found.items(), key=lambda item: item[0][0] != "digits")  # the problem that every section shows
    problems = [
        {
            "name": name,
            "size": size,
            "small": _small(cells),
            "ledger": _ledger(run, cells),
            "on_gpu": _on_gpu(run, cells),
        }
        for (name, size), cells in shown
    ]
    return {
        "problems": problems,
        "curves": _curves(rows(run)),
        "forms": _forms(rows(run)),
        "behaviours": [_behaviour(run, row) for row in rows(run) if row.get("behaviour")],
    }


def _small(cells: dict[tuple[str, str], list[Row]]) -> list[dict[str, Any]]:
    """One small chart a strategy, all of them on one scale; what is held stays until the next moment."""
    marks = {
        key: [row for row in members if MOMENT.fullmatch(row["phase"]) and "bytes" in row]
        for key, members in cells.items()
    }
    highest = max((row["bytes"] for members in marks.values() for row in members), default=1)
    made = []
    for name in STRATEGIES:
        end = max(len(marks.get((name, side), ())) for side in SIDES) - 1
        lines = []
        for tone, (side, title) in enumerate(SIDES.items()):
            if members := marks.get((name, side)):
                places = [end if row["phase"] == "dropped" else k for k, row in enumerate(members)]
                points = list(zip(places, (row["bytes"] for row in members), strict=True))
                lines.append(Series(title, points, tone, steps=True))
        if lines:
            names = ["fwd", *map(str, range(1, end)), "end"]
            drawn = chart(lines, "", "", (208, 128), names=names, limits=(0, highest))
            made.append({"strategy": name, "chart": drawn, "sides": [line.name for line in lines]})
    return made


def _ledger(run: Run, cells: dict[tuple[str, str], list[Row]]) -> list[dict[str, Any]]:
    """A line a strategy: what each side holds at three moments, and its peak."""
    return [
        {"strategy": name, "sides": [_side(run, cells.get((name, side), [])) for side in SIDES]}
        for name in dict.fromkeys(name for name, _ in cells)
    ]


def _side(run: Run, rows: list[Row]) -> dict[str, Any]:
    found = {row["phase"]: row for row in rows if "bytes" in row}
    most = found.get("peak") or found.get("plan")
    return {
        "held": [
            figure(run, found[phase], "bytes", "int") for phase in ("forward", "last", "dropped") if phase in found
        ],
        "peak": figure(run, most, "bytes", "int") if most else "-",
        "kind": most["kind"] if most else "",
    }


def _on_gpu(run: Run, cells: dict[tuple[str, str], list[Row]]) -> list[dict[str, Any]]:
    """A GPU's peaks beside what was said of them before, and of PyTorch's what they are made of."""
    found = []
    for (name, side), members in cells.items():
        for row in members:
            if row["phase"] == "peak" and ("accounted" in row or "planned" in row):
                said = "planned" if "planned" in row else "simulated"
                figures = [
                    figure(run, row, field, "int") if field in row else "-"
                    for field in ("bytes", said, "requested", "accounted")
                ]
                found.append({"strategy": name, "side": SIDES[side], "figures": figures})
    return found


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


def _curves(rows: list[Row]) -> dict[str, list[dict[str, Any]]]:
    """By axis, a chart for what each side holds and for its peak; strategies that coincide are one line."""
    found: dict[tuple[str, str, str], dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        if row.get("curve") and row.get("phase") in GROWING and "bytes" in row:
            lines = found.setdefault((row["curve"], row["phase"], row["framework"]), {})
            lines.setdefault(row["strategy"], []).append((row["at"], row["bytes"]))
    names = list(dict.fromkeys(name for lines in found.values() for name in lines))
    made: dict[str, list[dict[str, Any]]] = {}
    for (axis, phase, side), lines in sorted(found.items(), key=lambda item: [*GROWING].index(item[0][1])):
        same: dict[tuple[tuple[float, float], ...], list[str]] = {}
        for name, points in lines.items():
            same.setdefault(tuple(sorted(points)), []).append(name)
        series = [Series(", ".join(told), points, names.index(told[0])) for points, told in same.items()]
        drawn = chart(series, AXES.get(axis, axis), GROWING[phase], (320, 220))
        made.setdefault(AXES.get(axis, axis), []).append({"title": SIDES[side], "chart": drawn})
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
