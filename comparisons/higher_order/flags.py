"""What separates `retain_graph` from `create_graph`: second derivatives under every pair of flags, op by op.

`retain_graph` keeps what the forward saved; the gradient is a constant all the same. `create_graph` makes the gradient
a function, and keeps what was saved because `retain_graph` follows it by default. With `retain_graph=False` the second
backward fails where the gradient is a function of a saved tensor that the freed graph has made: a result, or an input
that is not a leaf. JAX has no flag: a `grad` inside a `grad`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch import Tensor

from comparisons.difference import TOLERANCE
from comparisons.frameworks import jax_scope
from comparisons.higher_order.judge import SIDES, judged, relative
from comparisons.rows import Row, Table, Unit
from comparisons.watch import nodes, raised

KINDS = ("flags",)
X = 0.7
CONSTANT = "element 0 of tensors does not require grad"
FREED = "Trying to backward through the graph a second time"


class Op(NamedTuple):
    """A function as an expression of `torch` or `jax.numpy` and x, and its second derivative in NumPy."""

    f: Callable[[Any, Any], Any]
    second: Callable[[float], float]


def logistic(x: float) -> float:
    return 1 / (1 + np.exp(-x))


OPS = {
    "x ** 3": Op(lambda xp, x: x**3, lambda x: 6 * x),
    "x * x": Op(lambda xp, x: x * x, lambda x: 2),
    "x * x * x": Op(lambda xp, x: x * x * x, lambda x: 6 * x),
    "(2 x) ** 2": Op(lambda xp, x: (2 * x) ** 2, lambda x: 8),
    "sin x": Op(lambda xp, x: xp.sin(x), lambda x: -np.sin(x)),
    "sin x**2": Op(lambda xp, x: xp.sin(x**2), lambda x: 2 * np.cos(x**2) - 4 * x**2 * np.sin(x**2)),
    "log x": Op(lambda xp, x: xp.log(x), lambda x: -1 / x**2),
    "exp x": Op(lambda xp, x: xp.exp(x), np.exp),
    "tanh x": Op(lambda xp, x: xp.tanh(x), lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2),
    "sigmoid x": Op(
        lambda xp, x: torch.sigmoid(x) if xp is torch else jax.nn.sigmoid(x),
        lambda x: logistic(x) * (1 - logistic(x)) * (1 - 2 * logistic(x)),
    ),
    "sqrt x": Op(lambda xp, x: xp.sqrt(x), lambda x: -0.25 * x**-1.5),
    "1 / x": Op(lambda xp, x: 1 / x, lambda x: 2 / x**3),
    "gelu x": Op(
        lambda xp, x: torch.nn.functional.gelu(x) if xp is torch else jax.nn.gelu(x, approximate=False),
        lambda x: (2 - x**2) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "2 x": Op(lambda xp, x: 2 * x, lambda x: 0),
}
FLAGS: dict[str, dict[str, bool]] = {
    "neither": {"create_graph": False},
    "retain_graph": {"create_graph": False, "retain_graph": True},
    "create_graph": {"create_graph": True},
    "create_graph, retain_graph=False": {"create_graph": True, "retain_graph": False},
}


def predicted(op: str, flags: str) -> str:
    """The error that is to come, from what the graph has saved; "" for none.

    `2 x` has a gradient that is a constant under any flag.
    """
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    saved = [t for node in nodes(OPS[op].f(torch, x)) for t in _saved(node) if t.requires_grad]
    if not saved or not FLAGS[flags]["create_graph"]:
        return CONSTANT
    return FREED if "False" in flags and not all(t.is_leaf for t in saved) else ""


def _saved(node) -> list[Tensor]:
    found = [getattr(node, name) for name in dir(node) if name.startswith("_saved_")]
    return [value for value in found if isinstance(value, Tensor)]


def units() -> list[Unit]:
    return [Unit("higher_order", "flags", "flags", rows)]


def rows() -> list[Row]:
    """A row an op and pair of flags: the exact second derivative, or the error that the saved tensors predict."""
    found = []
    for op in OPS:
        for flags in FLAGS:
            found.append(_torch(op, flags))
        row: Row = {"id": f"higher_order/flags/jax/{op}", "kind": "flags", "framework": "jax", "op": op}
        row["flags"] = "nested"
        found.append(judged(row, partial(_jax_error, op), TOLERANCE))
    return found


def _torch(op: str, flags: str) -> Row:
    row: Row = {"id": f"higher_order/flags/torch/{op}/{flags}", "kind": "flags", "framework": "torch", "op": op}
    x, got = torch.tensor(X, dtype=torch.float64), []
    error = raised(lambda: got.append(SIDES["torch"].backward_twice(partial(OPS[op].f, torch), x, **FLAGS[flags])))
    row |= {"flags": flags, "predicted": predicted(op, flags), "raises": error.message if error.kind else ""}
    if not row["raises"].startswith(row["predicted"]) or bool(row["raises"]) != bool(row["predicted"]):
        reason = f"predicted {row['predicted'] or 'no error'}, found {row['raises'] or 'no error'}"
        return row | {"status": "differs", "reason": reason}
    if row["raises"]:
        return row | {"status": "unsupported", "reason": row["raises"]}
    return judged(row, lambda: relative(got[0], OPS[op].second(X)), TOLERANCE)


def _jax_error(op: str) -> float:
    with jax_scope("float64", "cpu"):
        second = SIDES["jax"].reverse(SIDES["jax"].reverse(partial(OPS[op].f, jax.numpy)))
        return relative(second(jax.numpy.asarray(X)), OPS[op].second(X))


def table(rows: list[Row]) -> Table:
    cells = {(row["op"], row["flags"]): row for row in rows}
    ops = dict.fromkeys(row["op"] for row in rows)
    lines = [[op, *(_text(cells.get((op, flags))) for flags in (*FLAGS, "nested"))] for op in ops]
    header = ["f''", "neither", "retain_graph", "create_graph", "create, not retain", "JAX: nested"]
    return Table("what separates the flags", header, lines)


def _text(row: Row | None) -> str:
    if row is None or row["status"] == "ok":
        return "exact" if row else ""
    if row["status"] != "unsupported":
        return "DIFFERS"
    return "constant" if row["raises"].startswith(CONSTANT) else "freed"
