"""The lifetime strip: each held tensor, live or freed, at every moment of a strategy."""

from itertools import groupby
from typing import Any

from comparisons.page.read import Run
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
        "dropped": "losses dropped",
    },
    "jax": {
        "forward": "after the forward",
        "after A": "after A's pull",
        "after B": "after B's pull",
        "after both": "after the pull of both",
        "before A": "A's forward has run",
        "before B": "B's forward has run",
        "before both": "before the pull of both",
        "dropped": "pullbacks dropped",
    },
}
ENDS = ("A", "B", "heads", "both")
ORDER = ("forward", *(f"{when} {end}" for end in ENDS for when in ("before", "after")), "dropped")
STEP, HEAD, GAP = 25, 34, 14
COLUMNS = {"A": (3, 81), "B": (88, 81), "shared": (31, 110)}


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
    frames = [frame for strip in strips for side in strip["sides"] for frame in side.get("frames", [])]
    return {"strips": strips, "most": max((frame["held"]["total"] for frame in frames), default=0) or 1}


def _strip(run: Run, name: str, found: dict[tuple[str, str], list[Row]]) -> dict[str, Any]:
    """One strategy; frames of the same moment stand in the same column."""
    sides = [_side(run, side, found[name, side]) for side in PHASES if (name, side) in found]
    taken = {frame["phase"] for side in sides for frame in side.get("frames", [])}
    columns = [phase for phase in ORDER if phase in taken]
    for side in sides:
        for frame in side.get("frames", []):
            frame["column"] = columns.index(frame["phase"]) + 1
    return {"strategy": name, "open": name in FIRST, "sides": sides, "columns": max(len(columns), 4)}


def _side(run: Run, framework: str, rows: list[Row]) -> dict[str, Any]:
    side: dict[str, Any] = {"framework": framework, "title": {"torch": "PyTorch", "jax": "JAX"}[framework]}
    if "step" not in rows[0]:
        return side | {"reason": rows[0].get("reason", ""), "anchor": run.anchor(rows[0])}
    frames: list[dict[str, Any]] = []
    seen: set[int] = set()
    done: set[str] = set()
    count = {owner: sum(row["owner"] == owner for row in rows if row["step"] == 0) for owner in COLUMNS}
    heads = max(count["A"], count["B"])
    for step, members in groupby(rows, key=lambda row: row["step"]):
        tensors = [*members]
        phase = tensors[0]["phase"]
        seen |= {row["tensor"] for row in tensors if row["alive"]}
        done |= ({phase[-1]} & {*"AB"} or {*"AB"}) if phase.startswith("after") else set()
        frames.append(
            {
                "number": step + 1,
                "phase": phase,
                "title": PHASES[framework][phase],
                "blocks": _blocks(run, tensors, seen, heads),
                "held": _held(run, tensors),
                "done": sorted(done),
                "foot": HEAD + STEP * heads,
                "height": HEAD + STEP * (heads + count["shared"]) + GAP + 8,
            }
        )
    side |= {"left": frames[-2]["held"]}
    return side | {"frames": frames}


def _blocks(run: Run, tensors: list[Row], seen: set[int], heads: int) -> list[dict[str, Any]]:
    """A block for each tensor: heads above, the trunk below, what was saved first at the bottom."""
    count = {owner: sum(row["owner"] == owner for row in tensors) for owner in COLUMNS}
    found, level = [], dict.fromkeys(COLUMNS, 0)
    for row in reversed(tensors):
        owner = row["owner"]
        x, width = COLUMNS[owner]
        above = heads if owner == "shared" else heads - count[owner]
        y = HEAD + STEP * (above + level[owner]) + GAP * (owner == "shared")
        level[owner] += 1
        state = "live" if row["alive"] else "freed" if row["tensor"] in seen else "later"
        place = {"x": x, "y": y, "width": width, "middle": x + width / 2, "baseline": y + 14}
        words = {"row": row, "anchor": run.anchor(row), "owner": owner, "state": state}
        found.append(place | words | {"op": row["op"].split(", ")[-1] or "tensor"})
    return found


def _held(run: Run, tensors: list[Row]) -> dict[str, Any]:
    """The bytes that are alive in a frame, in all and by owner; `of` is what the rows' anchors begin with."""
    parts = {owner: sum(row["bytes"] for row in tensors if row["alive"] and row["owner"] == owner) for owner in COLUMNS}
    return {"total": sum(parts.values()), "parts": parts, "of": run.anchor(tensors[0]).rpartition("/")[0]}
