"""A moment of a strip in shapes: where its blocks stand, and the lines from each loss to what is held for it."""

from collections.abc import Sequence
from typing import Any

from comparisons.page.read import Run
from comparisons.page.strip_words import named
from comparisons.rows import Row

STEP, HEAD, GAP, HIGH = 25, 34, 14, 20
COLUMNS = {"A": (1, 90), "B": (93, 90), "shared": (34, 116)}
CENTRES = {owner: x + width / 2 for owner, (x, width) in COLUMNS.items()}


def blocks(run: Run, tensors: list[Row], seen: set[int], heads: int) -> list[dict[str, Any]]:
    """A block for each tensor: heads above, the trunk below, what was saved first at the bottom."""
    count = {owner: sum(row["owner"] == owner for row in tensors) for owner in COLUMNS}
    found: list[dict[str, Any]] = []
    level = dict.fromkeys(COLUMNS, 0)
    for row in reversed(tensors):
        owner = row["owner"]
        x, width = COLUMNS[owner]
        above = heads if owner == "shared" else heads - count[owner]
        y = HEAD + STEP * (above + level[owner]) + GAP * (owner == "shared")
        level[owner] += 1
        state = "live" if row["alive"] else "freed" if row["tensor"] in seen else "later"
        place = {"x": x, "y": y, "width": width, "middle": x + width / 2, "baseline": y + 14}
        words = {"row": row, "anchor": run.anchor(row), "owner": owner, "state": state}
        found.append(place | words | {"op": named(row)})
    return found


def wires(blocks: Sequence[dict[str, Any]], heads: int) -> list[dict[str, str]]:
    """Lines from each loss down to the last block that is held for it, and on, dotted, to what is not."""
    column = {owner: [block for block in blocks if block["owner"] == owner] for owner in COLUMNS}
    live = {owner: [block["state"] == "live" for block in column[owner]] for owner in COLUMNS}
    found: dict[tuple[str, bool], str] = {}
    foot, middle = HEAD + STEP * heads, CENTRES["shared"]

    def line(owner: str, held: bool, path: str) -> None:
        found[owner, held] = found.get((owner, held), "") + path

    for loss in "AB":
        x, y = CENTRES[loss], HEAD - 10
        reaches = any(live["shared"]) and (any(live[loss]) or not any(live["A"] + live["B"]))
        for k, block in enumerate(column[loss]):
            line(loss, reaches or any(live[loss][k:]), f"M{x:g} {y}V{block['y']}")
            y = block["y"] + HIGH
        if column["shared"]:
            turn = x + (16 if x < middle else -16)
            line(loss, reaches, f"M{x:g} {y}V{foot}Q{x:g} {foot + 8} {turn:g} {foot + 8}H{middle:g}")
    y = foot + 8
    for k, block in enumerate(column["shared"]):
        line("shared", any(live["shared"][k:]), f"M{middle:g} {y}V{block['y']}")
        y = block["y"] + HIGH
    ends = sorted(found.items(), key=lambda item: item[0][1])
    return [{"of": owner, "state": "held" if held else "gone", "path": path} for (owner, held), path in ends]
