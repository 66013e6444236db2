"""What leaves the level of a derivative: a function as its result, and a value that is kept from inside."""

import re
from collections.abc import Callable
from functools import partial

import jax
import torch

from comparisons.frameworks import jax_scope
from comparisons.higher_order.judge import SIDES
from comparisons.rows import Row, failed

ESCAPES: dict[str, dict[str, str | float]] = {  # PyTorch reads what it has left behind as a constant
    "a function as the result": {"torch": "RuntimeError", "jax": "TypeError"},
    "a kept 2, times x": {"torch": 2.0, "jax": "UnexpectedTracerError"},
}
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def escapes(side: str) -> list[Row]:
    """A row a case: what it gives, or how it is refused; it differs where that is not as predicted."""
    reverse = SIDES[side].reverse
    constant = partial(torch.tensor, dtype=torch.float64) if side == "torch" else jax.numpy.asarray
    kept: list = []

    def keep(u):
        kept.append(u)
        return u * u

    def later() -> float:
        reverse(keep)(constant(2.0))
        return reverse(lambda x: x * kept[-1])(constant(3.0)).item()

    cases: dict[str, Callable] = {
        "a function as the result": lambda: reverse(lambda u: lambda x: x + u)(constant(3.0)),
        "a kept 2, times x": later,
    }
    found = []
    for case, call in cases.items():
        row: Row = {"id": f"higher_order/confusion/{side}/{case}", "kind": "escape", "framework": side, "case": case}
        predicted = ESCAPES[case][side]
        with jax_scope("float64", "cpu"):
            try:
                row |= {"status": "ok", "value": call()}
            except Exception as error:  # a refusal is the result
                row = failed(row, error) | {"status": "unsupported", "refusal": type(error).__name__}
        row["reason"] = ADDRESS.sub("", row.get("reason", ""))
        if predicted not in (row.get("value"), row.get("refusal")):
            row |= {"status": "differs", "reason": f"predicted {predicted}, found {row['reason'] or row['value']}"}
        found.append(row)
    return found
