"""The autograd graph: nodes that lead from the losses back to the leaves, as PyTorch links them."""

from comparisons.graphs import Node
from comparisons.memory import sides
from comparisons.memory.strip.stage import NAMES, problem


def nodes() -> tuple[dict[int, Node], dict[str, int]]:
    """Every node behind the two losses, by number, leaves first; and which of them are the losses."""
    side = sides.torch_side("many_heads", problem())
    values = side.losses(side.params)
    leaves = {id(value): name for name, value in side.params.items()}
    named = {value.grad_fn: NAMES[loss] for loss, value in values.items()}
    number: dict = {}
    graph: dict[int, Node] = {}

    def visit(node) -> int:
        if node not in number:
            inputs = tuple(dict.fromkeys(visit(source) for source, _ in node.next_functions if source is not None))
            number[node] = len(number) + 1
            name = named.get(node) or leaves.get(id(getattr(node, "variable", None)), "")
            graph[number[node]] = Node(node.name().removeprefix("torch::autograd::"), name, inputs)
        return number[node]

    return graph, {NAMES[loss]: visit(value.grad_fn) for loss, value in values.items()}
