"""The lifetime strip: each held tensor, live or freed, at every moment of a strategy."""

from itertools import groupby
from typing import Any

from comparisons.memory.strip.said import GRAPH, RESIDUALS, SAID, Said
from comparisons.page.read import Run
from comparisons.page.strip_shapes import COLUMNS, GAP, HEAD, STEP, blocks, wires
from comparisons.page.strip_words import cause
from comparisons.rows import Row
from comparisons.scenarios import STRATEGIES

TITLE = "The lifetime strip"
SEE = (
    "PyTorch lets go tensor by tensor, of what a backward visits and was not told to retain; a JAX pullback holds all "
    "that it needs until it is dropped itself."
)
COMMAND = "python -m comparisons memory"
FIRST = ("per_loss_retained", "summed", "per_loss_recomputed")
PHASES = {
    "torch": {
        "forward": "after the forward",
        "after A": "after A's backward",
        "after B": "after B's backward",
        "after heads": "after both heads' backward",
        "after both": "after the backward of both",
        "before A": "A's forward has run",
        "before B": "B's forward has run",
        "before heads": "before both heads' backward",
        "before both": "before the backward of both",
        "dropped": "after the call",
    },
    "jax": {
        "forward": "after the forward",
        "after A": "after A's pull",
        "after B": "after B's pull",
        "after both": "after the pull of both",
        "before A": "A's forward has run",
        "before B": "B's forward has run",
        "before both": "before the pull of both",
        "dropped": "after the call",
    },
}
ORDER = (
    "forward",
    "before A",
    "after A",
    "before B",
    "after B",
    "before heads",
    "after heads",
    "before both",
    "after both",
    "dropped",
)
MINUS = "\N{MINUS SIGN}"


def rows(run: Run) -> list[Row]:
    return [row for row in run.rows.get("memory", []) if "strip" in row]


def group(row: Row) -> str:
    return f"lifetime strip, {row['strip']}"


def context(run: Run) -> dict[str, Any]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows(run):
        found.setdefault((row["strip"], row["framework"]), []).append(row)
    names = [name for name in dict.fromkeys((*FIRST, *STRATEGIES)) if any(name == strip for strip, _ in found)]
    strips = [_strip(run, name, found) for name in names]
    frames = [frame["held"] for strip in strips for side in strip["sides"] for frame in side.get("frames", [])]
    fullest = max(frames, key=lambda held: held["total"], default={"total": 0, "of": ""})
    return {"strips": strips, "fullest": fullest}


def _strip(run: Run, name: str, found: dict[tuple[str, str], list[Row]]) -> dict[str, Any]:
    """One strategy; frames of the same moment stand in the same column."""
    sides = [_side(run, name, side, found[name, side]) for side in PHASES if (name, side) in found]
    taken = {frame["phase"] for side in sides for frame in side.get("frames", [])}
    columns = [phase for phase in ORDER if phase in taken]
    for side in sides:
        for frame in side.get("frames", []):
            frame["column"] = columns.index(frame["phase"]) + 1
    most = max((frame["held"]["total"] for side in sides for frame in side.get("frames", [])), default=0)
    return {
        "strategy": name,
        "claim": SAID[name].claim if name in SAID else "",
        "sides": sides,
        "columns": max(len(columns), 4),
        "most": most,
        "open": name in FIRST,
    }


def _side(run: Run, name: str, framework: str, rows: list[Row]) -> dict[str, Any]:
    side: dict[str, Any] = {"framework": framework, "title": {"torch": "PyTorch", "jax": "JAX"}[framework]}
    if "step" not in rows[0]:
        return side | {"reason": rows[0].get("reason", ""), "anchor": run.anchor(rows[0])}
    said = SAID.get(name, Said(""))
    frames: list[dict[str, Any]] = []
    before: list[Row] = []
    seen: set[int] = set()
    done: set[str] = set()
    count = {owner: sum(row["owner"] == owner for row in rows if row["step"] == 0) for owner in COLUMNS}
    heads = max(count["A"], count["B"])
    for step, members in groupby(rows, key=lambda row: row["step"]):
        tensors = [*members]
        phase, held = tensors[0]["phase"], _held(run, tensors)
        if phase.startswith("after"):
            done |= {"after A": {"A"}, "after B": {"B"}}.get(phase, {"A", "B"})
        why = cause(tensors, before, seen, done, said)
        seen |= {row["tensor"] for row in tensors if row["alive"]}
        drawn = blocks(run, tensors, seen, heads)
        frames.append(
            {"number": step + 1, "phase": phase, "title": PHASES[framework][phase], "cause": why}
            | {"held": held, "change": _change(frames[-1]["held"], held) if frames else None}
            | {"blocks": drawn, "wires": wires(drawn, heads), "done": sorted(done)}
            | {"height": HEAD + STEP * (heads + count["shared"]) + (GAP if count["shared"] else 0)}
        )
        before = tensors
    kept = next((text for op, text in RESIDUALS.items() if any(row["op"] == op for row in rows)), "")
    return side | {"note": GRAPH if framework == "torch" else f"{said.pulled} {kept}", "frames": frames}


def _held(run: Run, tensors: list[Row]) -> dict[str, Any]:
    """The bytes that are alive in a frame, in all and by owner; `of` is what the rows' anchors begin with."""
    parts = {owner: sum(row["bytes"] for row in tensors if row["alive"] and row["owner"] == owner) for owner in COLUMNS}
    return {"total": sum(parts.values()), "parts": parts, "of": run.anchor(tensors[0]).rpartition("/")[0]}


def _change(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The difference in bytes between two moments, with its sign."""
    change = now["total"] - before["total"]
    return {"of": f"{before['of']} {now['of']}", "text": f"{'+' if change > 0 else MINUS}{abs(change):,}"}
