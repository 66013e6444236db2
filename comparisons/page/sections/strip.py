"""The lifetime strip: each held tensor, live or freed, at every moment of a strategy."""

from itertools import groupby
from typing import Any

from comparisons.page.figures import figure
from comparisons.page.read import Run
from comparisons.rows import Row
from comparisons.scenarios import STRATEGIES

TITLE = "The lifetime strip"
SEE = (
    "A filled block is a tensor that is held for a backward still to come; a dashed one has been freed. PyTorch frees "
    "piece by piece as a backward passes, unless it is told to retain; what the last backward does not visit stays "
    "until the losses are dropped. A JAX pullback holds all its residuals until the pullback itself is dropped."
)
COMMAND = "python -m comparisons memory"
FIRST = ("per_loss_retained", "summed", "per_loss_recomputed")
PHASES = {
    "torch": {
        "forward": "after the forward",
        "after A": "after A's backward",
        "after B": "after B's backward",
        "after both": "after the backward of both",
        "before A": "A's forward has run",
        "before B": "B's forward has run",
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
WIDTH, BLOCK, STEP, HEAD = 172, 20, 25, 34
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
    strips = [
        {
            "strategy": name,
            "open": name in FIRST,
            "sides": [_side(run, side, found[name, side]) for side in ("torch", "jax") if (name, side) in found],
        }
        for name in names
    ]
    return {"strips": strips}


def _side(run: Run, framework: str, rows: list[Row]) -> dict[str, Any]:
    side = {"framework": framework, "title": {"torch": "PyTorch", "jax": "JAX"}[framework]}
    if "step" not in rows[0]:
        return side | {"reason": rows[0].get("reason", ""), "row": rows[0], "anchor": run.anchor(rows[0])}
    frames, seen = [], set()
    tall = _height(rows)
    for step, members in groupby(rows, key=lambda row: row["step"]):
        tensors = [*members]
        seen |= {row["tensor"] for row in tensors if row["alive"]}
        frames.append(
            {
                "number": step + 1,
                "title": PHASES[framework][tensors[0]["phase"]],
                "blocks": _blocks(run, tensors, seen),
                "held": _held(run, tensors),
                "done": _done(frames, tensors[0]["phase"]),
                "height": tall,
            }
        )
    most = max(frame["held"]["total"] for frame in frames) or 1
    return side | {"frames": frames, "most": most, "left": frames[-2]["held"]}


def _height(rows: list[Row]) -> int:
    first = [row for row in rows if row["step"] == 0]
    count = {owner: sum(row["owner"] == owner for row in first) for owner in COLUMNS}
    return HEAD + STEP * (max(count["A"], count["B"]) + count["shared"]) + 8


def _blocks(run: Run, tensors: list[Row], seen: set[int]) -> list[dict[str, Any]]:
    """A block for each tensor: heads above, the trunk below, what was saved first at the bottom."""
    heads = max(sum(row["owner"] == owner for row in tensors) for owner in "AB")
    found, level = [], dict.fromkeys(COLUMNS, 0)
    for row in reversed(tensors):
        owner = row["owner"]
        x, width = COLUMNS[owner]
        above = heads if owner == "shared" else heads - sum(t["owner"] == owner for t in tensors)
        y = HEAD + STEP * (above + level[owner])
        level[owner] += 1
        state = "live" if row["alive"] else "freed" if row["tensor"] in seen else "later"
        place = {"x": x, "y": y, "width": width, "middle": x + width / 2, "baseline": y + 14}
        op = next((op for op in row["op"].split(", ")[::-1] if op), "tensor")
        found.append(place | {"row": row, "anchor": run.anchor(row), "owner": owner, "state": state, "op": op})
    return found


def _held(run: Run, tensors: list[Row]) -> dict[str, Any]:
    """The bytes that are alive in a frame, in all and by owner; `of` is the id that the rows' ids begin with."""
    parts = {owner: sum(row["bytes"] for row in tensors if row["alive"] and row["owner"] == owner) for owner in COLUMNS}
    return {"total": sum(parts.values()), "parts": parts, "of": run.anchor(tensors[0]).rpartition("/")[0]}


def _done(before: list[dict], phase: str) -> set[str]:
    """The losses whose gradients have been taken."""
    done = set(before[-1]["done"]) if before else set()
    if phase.startswith("after"):
        done |= set("AB") if "both" in phase else {phase[-1]}
    return done


def bytes_of(run: Run, row: Row):
    return figure(run, row, "bytes", "bytes")
