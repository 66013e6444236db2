"""The autograd graph beside the jaxpr of the same two losses."""

from typing import Any

from comparisons.page.layered import layout
from comparisons.page.read import Run
from comparisons.rows import Row

TITLE = "The graph and the jaxpr"
SEE = (
    "The same two losses as each framework writes them down: PyTorch's nodes lead from the losses back to the "
    "parameters, a jaxpr's equations from the inputs on, and in both the losses part after the shared trunk."
)
COMMAND = "python -m comparisons graphs"
TITLES = {"torch": "PyTorch: the autograd graph", "jax": "JAX: the jaxpr"}
ARROWS = {"torch": "Links lead from the losses to the leaves.", "jax": "Links lead from the inputs to the losses."}
ACROSS, DOWN, WIDTH, HEIGHT = 88, 40, 82, 24


def rows(run: Run) -> list[Row]:
    return run.rows.get("graphs", [])


def group(row: Row) -> str:
    return f"graphs, {TITLES[row['framework']]}, {row.get('kind', 'all')}s"


def context(run: Run) -> dict[str, Any]:
    return {"graphs": [_graph(run, side) for side in TITLES if any(r["framework"] == side for r in rows(run))]}


def _graph(run: Run, framework: str) -> dict[str, Any]:
    found = [row for row in rows(run) if row["framework"] == framework and "kind" in row]
    nodes = {row["node"]: row for row in found if row["kind"] == "node"}
    edges = [(row["source"], row["target"], row["owner"]) for row in found if row["kind"] == "edge"]
    places = layout({key: row["rank"] for key, row in nodes.items()}, [edge[:2] for edge in edges], ACROSS, DOWN)
    centre = {key: (x + WIDTH / 2 + 4, y + HEIGHT / 2 + 4) for key, (x, y) in places.items()}
    boxes = [
        {
            "x": round(centre[key][0] - WIDTH / 2, 1),
            "y": round(centre[key][1] - HEIGHT / 2, 1),
            "row": row,
            "anchor": run.anchor(row),
            "words": _words(row),
            "leaf": row["op"] in ("AccumulateGrad", "parameter", "input"),
        }
        for key, row in nodes.items()
    ]
    lines = [
        {"path": _path(centre[source], centre[target], framework == "torch"), "owner": owner}
        for source, target, owner in edges
    ]
    counts = {owner: sum(row["owner"] == owner for row in nodes.values()) for owner in ("shared", "A", "B")}
    return {
        "title": TITLES[framework],
        "arrows": ARROWS[framework],
        "framework": framework,
        "width": round(max((x for x, _ in centre.values()), default=0) + WIDTH / 2 + 4),
        "height": round(max((y for _, y in centre.values()), default=0) + HEIGHT / 2 + 4),
        "boxes": boxes,
        "edges": lines,
        "counts": counts,
        "failed": [row for row in rows(run) if row["framework"] == framework and row["status"] == "failed"],
    }


def _path(source: tuple[float, float], target: tuple[float, float], backward: bool) -> str:
    (a, b), (c, d) = source, target
    b, d = b + HEIGHT / 2, d - HEIGHT / 2
    if backward:
        a, b, c, d = c, d, a, b
    bend = (d - b) / 2
    return f"M{a:.0f} {b:.0f}C{a:.0f} {b + bend:.0f} {c:.0f} {d - bend:.0f} {c:.0f} {d:.0f}"


def _words(row: Row) -> str:
    """What it does, or the parameter that it is, or the loss."""
    op = row["op"].removesuffix("Backward0")
    if row["op"] in ("AccumulateGrad", "parameter", "input"):
        return " ".join(row["name"].split(".")[-2:])
    return f"loss {row['name']}: {op}" if row["name"] else op
