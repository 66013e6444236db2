"""What does each framework write down? PyTorch's autograd graph and the jaxpr of the same two losses, as rows.

A node belongs to a loss, or is `shared` where both losses reach it; an edge is named by its two nodes. `rank` is a
node's distance from the inputs: the longest path of values that lead to it.
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from comparisons.rows import Row, Table, Unit, failed

__all__ = ["rows", "tables", "units"]


OWNERS = ("shared", "A", "B")


class Node(NamedTuple):
    """`op` with the name of a parameter, input or loss, if it is one; `inputs` are the nodes whose values it uses."""

    op: str
    name: str
    inputs: tuple[int, ...]


def units() -> list[Unit]:
    """One unit a side."""
    labels = {"torch": "autograd graph", "jax": "jaxpr"}
    return [Unit("graphs", "graphs", f"graphs  {labels[side]}", partial(rows, side)) for side in labels]


def rows(framework: str) -> list[Row]:
    """A row for each node, in an order in which values are made, and one for each edge."""
    head = {"id": f"graphs/{framework}", "framework": framework, "problem": "many_heads", "status": "ok"}
    try:
        if framework == "torch":
            from comparisons.graphs.torch_graph import nodes
        else:
            from comparisons.graphs.jax_graph import nodes
        graph, losses = nodes()
        owner = owners(graph, losses)
    except Exception as error:
        return [failed(head, error)]
    found, edges, rank = [], [], dict.fromkeys(graph, 0)
    for key, node in graph.items():
        rank[key] = max((rank[source] + 1 for source in node.inputs), default=0)
        told = {"op": node.op, "name": node.name, "owner": owner[key], "rank": rank[key]}
        found.append(head | {"id": f"{head['id']}/node/{key}", "kind": "node", "node": key} | told)
        for source in node.inputs:
            place = {"id": f"{head['id']}/edge/{source}-{key}", "kind": "edge", "source": source, "target": key}
            edges.append(head | place | {"owner": owner[key]})
    return found + edges


def tables(rows: list[Row]) -> list[Table]:
    """How many nodes each side has: shared, and of each loss alone."""
    nodes = [row for row in rows if row.get("kind") == "node"]
    lines = [
        [side, *(str(sum(row["framework"] == side and row["owner"] == owner for row in nodes)) for owner in OWNERS)]
        for side in ("torch", "jax")
    ]
    return [Table("two losses as each framework writes them down: nodes", ["side", *OWNERS], lines)]


def owners(graph: Mapping[int, Node], losses: Mapping[str, int]) -> dict[int, str]:
    """The loss that alone reaches a node, or `shared`; what none reaches is left out of a graph."""
    reached: dict[int, str] = {}
    for loss, start in losses.items():
        waiting, seen = [start], set()
        while waiting:
            key = waiting.pop()
            if key not in seen:
                seen.add(key)
                waiting += graph[key].inputs
        for key in seen:
            reached[key] = "shared" if key in reached else loss
    return reached
