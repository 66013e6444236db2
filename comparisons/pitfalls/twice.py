"""Which graphs can go backward twice with no error, and why.

A node raises on its second visit if it had saved data that the first visit released: a tensor, or a Python number
that it keeps as one. A node that remembers sizes, dimensions or nothing passes any number of times.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from comparisons.rows import Row
from comparisons.watch import nodes, raised, saved


class Op(NamedTuple):
    """A toy graph of one leaf (4, 4), what it is predicted to save, and so whether it passes twice."""

    call: Callable[[Tensor], Tensor]
    saves: str = ""


INDEX = torch.tensor([0, 1])
OPS = {
    "sum": Op(torch.sum),
    "mean": Op(torch.mean),
    "a + 1": Op(lambda a: a + 1),
    "a - 1": Op(lambda a: a - 1),
    "1 - a": Op(lambda a: 1 - a),
    "a + a": Op(lambda a: a + a),
    "add(a, a, alpha=2)": Op(lambda a: torch.add(a, a, alpha=2)),
    "lerp(a, a, 0.5)": Op(lambda a: torch.lerp(a, a, 0.5)),
    "-a": Op(torch.neg),
    "view": Op(lambda a: a.view(-1)),
    "t": Op(torch.t),
    "expand": Op(lambda a: a[None].expand(3, 4, 4)),
    "repeat": Op(lambda a: a.repeat(2, 1)),
    "slice": Op(lambda a: a[1:]),
    "flip": Op(lambda a: a.flip(0)),
    "roll": Op(lambda a: a.roll(1)),
    "pad": Op(lambda a: F.pad(a, (1, 1))),
    "cat": Op(lambda a: torch.cat([a, a])),
    "stack": Op(lambda a: torch.stack([a, a])),
    "clone": Op(torch.clone),
    "to float64": Op(lambda a: a.to(torch.float64)),
    "tril": Op(torch.tril),
    "diagonal": Op(torch.diagonal),
    "trace": Op(torch.trace),
    "cumsum": Op(lambda a: a.cumsum(0)),
    "floor": Op(torch.floor),
    "a * 2": Op(lambda a: a * 2, "a number"),
    "a / 2": Op(lambda a: a / 2, "a number"),
    "a * a": Op(lambda a: a * a, "its inputs"),
    "a @ a": Op(lambda a: a @ a, "its inputs"),
    "x @ a": Op(lambda a: torch.ones(1, 4) @ a, "its inputs"),
    "a ** 3": Op(lambda a: a**3, "its inputs"),
    "sin": Op(torch.sin, "its inputs"),
    "log": Op(torch.log, "its inputs"),
    "abs": Op(torch.abs, "its inputs"),
    "clamp": Op(lambda a: a.clamp(0), "its inputs"),
    "exp": Op(torch.exp, "its result"),
    "tanh": Op(torch.tanh, "its result"),
    "sigmoid": Op(torch.sigmoid, "its result"),
    "relu": Op(torch.relu, "its result"),
    "sqrt": Op(torch.sqrt, "its result"),
    "softmax": Op(lambda a: a.softmax(0), "its result"),
    "logsumexp": Op(lambda a: a.logsumexp(0), "its inputs"),
    "amax": Op(torch.amax, "its inputs"),
    "prod": Op(torch.prod, "its inputs"),
    "norm": Op(torch.linalg.vector_norm, "its inputs"),
    "std": Op(torch.std, "its inputs"),
    "max over rows": Op(lambda a: a.max(0).values, "indices"),
    "sort": Op(lambda a: a.sort().values, "indices"),
    "a[index]": Op(lambda a: a[INDEX], "indices"),
    "embedding": Op(lambda a: F.embedding(INDEX, a), "indices"),
    "where": Op(lambda a: torch.where(a > 1, a, 0), "a mask"),
    "masked_fill": Op(lambda a: a.masked_fill(a > 1, 0), "a mask"),
    "dropout": Op(lambda a: F.dropout(a, 0.5, True), "a mask"),
    "layer_norm": Op(lambda a: F.layer_norm(a, (4,)), "its inputs"),
}


class Second(NamedTuple):
    """What one toy graph did: bytes packed, the saved data that its nodes hold, what kind of data that is ("" for
    none), and whether a second backward passed.
    """

    op: str
    node: str
    packed: int
    holds: str
    saves: str
    twice: bool
    message: str


@cache
def second_backwards() -> tuple[Second, ...]:
    """All toy graphs, tried."""
    return tuple(_try(name, op.call) for name, op in OPS.items())


def rows() -> list[Row]:
    """One row an op; it differs where it saves other data, or passes or raises otherwise, than predicted."""
    return [_row(found, OPS[found.op].saves) for found in second_backwards()]


def _row(found: Second, predicted: str) -> Row:
    row: Row = {"id": f"pitfalls/twice/{found.op}", "kind": "twice", **found._asdict(), "predicted": predicted}
    row["status"] = "ok"
    if found.saves != predicted:
        row |= {
            "status": "differs",
            "reason": f"predicted to save {predicted or 'nothing'}, saves {found.holds or 'nothing'}",
        }
    elif found.twice == bool(predicted):
        row |= {
            "status": "differs",
            "reason": f"saves {predicted or 'nothing'}, yet the second backward gives: {found.message}",
        }
    return row


def _try(name: str, call: Callable[[Tensor], Tensor]) -> Second:
    leaf = (0.1 + torch.arange(16.0).reshape(4, 4) / 7).requires_grad_()
    with torch.random.fork_rng(devices=[]), saved() as watch:
        torch.manual_seed(0)
        y = call(leaf)
    packed = watch.bytes
    holds = {key.removeprefix("_saved_") for node in nodes(y) for key in dir(node) if _is_data(node, key)}
    y.backward(torch.ones_like(y))
    error = raised(lambda: y.backward(torch.ones_like(y)))
    text = ", ".join(sorted(holds))
    return Second(name, y.grad_fn.name(), packed, text, _kind(packed, holds), not error.kind, error.message)


def _kind(packed: int, holds: set[str]) -> str:
    if not holds:
        return ""
    if not packed:
        return "a number"
    if holds & {"self", "input", "mat2"}:
        return "its inputs"
    return {"result": "its result", "indices": "indices"}.get("".join(holds), "a mask")


def _is_data(node, key: str) -> bool:
    """Whether a node's attribute is saved data that a backward releases: tensors, also those that wrap a number."""
    if not key.startswith("_saved_"):
        return False
    value = getattr(node, key)
    return any(isinstance(item, Tensor) for item in (value if isinstance(value, (tuple, list)) else [value]))
