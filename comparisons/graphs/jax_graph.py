"""The jaxpr: the same two losses as a list of equations, each on a line of its own."""

import jax

from comparisons.frameworks import jax_scope
from comparisons.graphs import Node
from comparisons.memory import sides
from comparisons.memory.strip.stage import NAMES, problem


def nodes() -> tuple[dict[int, Node], dict[str, int]]:
    """Every equation that a loss needs, by number, after the parameters and inputs; and which of them are the losses.

    An equation that only calls another jaxpr, such as a `jit`, is replaced by what it calls.
    """
    with jax_scope(sides.DTYPE, "cpu"):
        side = sides.jax_side("many_heads", problem())
        from jax_impl.models.many_heads import losses

        jaxpr = jax.make_jaxpr(lambda params, batch: losses(batch)(params))(side.params, side.batch).jaxpr
    graph: dict[int, Node] = {}
    made: dict = {}

    def add(op: str, name: str, inputs: tuple[int, ...]) -> int:
        graph[len(graph) + 1] = Node(op, name, tuple(dict.fromkeys(inputs)))
        return len(graph)

    def run(jaxpr, known: dict) -> list:
        for equation in jaxpr.eqns:
            sources = [None if hasattr(v, "val") else known[v] for v in equation.invars]
            inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
            if inner is not None:
                inner = getattr(inner, "jaxpr", inner)
                results = run(inner, dict(zip(inner.invars, sources, strict=True)))
            else:
                key = add(equation.primitive.name, "", tuple(s for s in sources if s is not None))
                results = [key] * len(equation.outvars)
            known.update(zip(equation.outvars, results, strict=True))
        return [None if hasattr(v, "val") else known[v] for v in jaxpr.outvars]

    names = [*sorted(side.params), *sorted(side.batch)]
    kinds = ["parameter"] * len(side.params) + ["input"] * len(side.batch)
    for variable, kind, name in zip(jaxpr.invars, kinds, names, strict=True):
        made[variable] = add(kind, name, ())
    ends = dict(zip(sorted(NAMES.values()), run(jaxpr, made), strict=True))
    graph |= {key: graph[key]._replace(name=name) for name, key in ends.items()}
    return _needed(graph, ends), ends


def _needed(graph: dict[int, Node], ends: dict[str, int]) -> dict[int, Node]:
    """The graph without what no loss uses."""
    wanted = set(ends.values())
    for key in sorted(graph, reverse=True):
        if key in wanted:
            wanted |= {*graph[key].inputs}
    return {key: node for key, node in graph.items() if key in wanted}
