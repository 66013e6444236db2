"""Derivatives inside derivatives: whose perturbation is it? Each trap has an exact answer.

The first is Siskind and Pearlmutter's (2005); `shift` is that of Manzyuk and others (2019), whose derivative is taken
of a function that a derivative has made. A system that cannot tell two levels apart gives another number.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import torch
from torch import Tensor, autograd

from comparisons.difference import TOLERANCE
from comparisons.frameworks import jax_scope
from comparisons.higher_order.escapes import escapes
from comparisons.higher_order.judge import SIDES, judged
from comparisons.rows import Row, Table, Unit

KINDS = ("confusion", "escape")
Derivative = Callable[[Callable], Callable]


class Trap(NamedTuple):
    """Of an outer and an inner derivative and a maker of constants: a function of x; and its exact value at x = 3."""

    function: Callable[[Derivative, Derivative, Callable], Callable]
    exact: float


def shift(d: Derivative, c: Callable) -> Callable:
    """The derivative of f as that of u -> f(x + u) at 0."""
    return lambda f: lambda x: d(lambda u: f(x + u))(c(0.0))


TRAPS = {
    "d/dx x (d/dy (x + y) at 1)": Trap(lambda D, E, c: D(lambda x: x * E(lambda y: x + y)(c(1.0))), 1),
    "d/dx x (d/dy x y at 2)": Trap(lambda D, E, c: D(lambda x: x * E(lambda y: x * y)(c(2.0))), 6),
    "d/dx x (d/dy x y at x)": Trap(lambda D, E, c: D(lambda x: x * E(lambda y: x * y)(x)), 6),
    "d/dx x (d/dy x y^2 at x)": Trap(lambda D, E, c: D(lambda x: x * E(lambda y: x * y * y)(x)), 54),
    "three levels": Trap(
        lambda D, E, c: D(lambda x: x * E(lambda y: y * D(lambda z: x * y * z)(y))(x)),
        54,
    ),
    "a closure over x": Trap(lambda D, E, c: D(lambda x: x * E((lambda a: lambda y: a * y * y)(x))(x)), 54),
    "the inner one as a function": Trap(
        lambda D, E, c: D(lambda x: (lambda g: g(x) * g(c(1.0)))(E(lambda y: y * y * y))), 54
    ),
    "shift (shift cube)": Trap(lambda D, E, c: shift(D, c)(shift(E, c)(lambda x: x * x * x)), 18),
    "the inner variable unused": Trap(lambda D, E, c: D(lambda x: x + x * E(lambda y: x * x)(x)), 1),
    "the inner function constant": Trap(lambda D, E, c: D(lambda x: x + x * E(lambda y: c(5.0))(x)), 1),
}


def one_leaf(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`create_graph` on the outer level's own tensor: the two levels share one leaf."""

    def derivative(x: Tensor) -> Tensor:
        x = x if x.requires_grad else x.detach().requires_grad_()
        y = function(x)
        if not y.requires_grad:
            return torch.zeros_like(x)
        return autograd.grad(y, x, create_graph=True, materialize_grads=True)[0]

    return derivative


def ways(side: str) -> dict[str, tuple[Derivative, Derivative]]:
    """An outer and an inner derivative, by name."""
    modes = {mode: getattr(SIDES[side], mode) for mode in ("reverse", "forward")}
    found = {f"{outer} over {inner}": (modes[outer], modes[inner]) for outer, inner in product(modes, modes)}
    if side == "torch":
        found |= {"create_graph": (SIDES[side].recorded,) * 2, "create_graph, one leaf": (one_leaf,) * 2}
    return found


def value(side: str, trap: str, way: str) -> float:
    outer, inner = ways(side)[way]
    if side == "torch":
        constant = partial(torch.tensor, dtype=torch.float64)
        return TRAPS[trap].function(outer, inner, constant)(constant(3.0)).item()
    with jax_scope("float64", "cpu"):
        return TRAPS[trap].function(outer, inner, jax.numpy.asarray)(jax.numpy.asarray(3.0)).item()


def units() -> list[Unit]:
    return [Unit("higher_order", "confusion", f"confusion  {side}", partial(rows, side)) for side in SIDES]


def rows(side: str) -> list[Row]:
    """A row a trap and way; `unsupported` where a way that shares one leaf confuses the levels."""
    found = []
    for trap, way in product(TRAPS, ways(side)):
        row: Row = {"id": f"higher_order/confusion/{side}/{trap}/{way}", "kind": "confusion"}
        row |= {"framework": side, "case": trap, "way": way, "exact": TRAPS[trap].exact}
        row = judged(row, lambda: _error(row, side, trap, way), TOLERANCE * TRAPS[trap].exact)
        if way == "create_graph, one leaf" and row["status"] == "differs":
            row |= {"status": "unsupported", "reason": f"the levels are confused: it gives {row['value']:g}"}
        found.append(row)
    return [*found, *escapes(side)]


def _error(row: Row, side: str, trap: str, way: str) -> float:
    row["value"] = value(side, trap, way)
    return abs(row["value"] - row["exact"])


def table(rows: list[Row]) -> Table:
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        way = row.get("way", "reverse over reverse")
        cells.setdefault((row["case"], row["framework"] if " over " in way else way), []).append(row)
    columns = {"torch": "torch.func", "create_graph": "create_graph", "create_graph, one leaf": "one leaf"}
    columns |= {"jax": "JAX"}
    exact = {row["case"]: f"{row['exact']:g}" if "exact" in row else "" for row in rows}
    lines = [[case, value, *(_text(cells.get((case, c), [])) for c in columns)] for case, value in exact.items()]
    return Table("nested derivatives at x = 3", ["trap", "exact", *columns.values()], lines)


def _text(rows: list[Row]) -> str:
    bad = [row for row in rows if row["status"] != "ok"]
    if not bad and (not rows or "exact" in rows[0]):
        return f"ok x {len(rows)}" if len(rows) > 1 else "ok" * len(rows)
    row = (bad or rows)[0]
    text = f"{row['value']:g}" if "value" in row else "raises"
    return f"DIFFERS {text}" if row["status"] in ("differs", "failed") else text
