"""What raises or is wrong in which mode: each loss as it stands, the reason where it fails, and the form that works."""

from functools import cache, partial

import jax
import numpy as np
import torch

import jax_impl.higher_order.limits
import torch_impl.higher_order.limits
from comparisons.frameworks import jax_scope
from comparisons.rows import Row, Table, Unit, failed

KINDS = ("limit",)
MODES = {
    "forward_over_reverse": "f/r",
    "reverse_over_forward": "r/f",
    "reverse_over_reverse": "r/r",
    "hessian": "H",
    "third": "third",
}
AGAINST = {"reverse_over_reverse": "forward_over_reverse", "third": "third_forward"}  # else reverse over reverse
SIDES = {"torch": torch_impl.higher_order.limits, "jax": jax_impl.higher_order.limits}


def units() -> list[Unit]:
    return [
        Unit("higher_order", "limits", f"limit  {side}  {name}", partial(rows, side, name))
        for side, module in SIDES.items()
        for name in module.LIMITS
    ]


def rows(side: str, name: str) -> list[Row]:
    """A row a mode; `unsupported` where it raises or is wrong, `failed` or `differs` where the remedy does too."""
    limit = SIDES[side].LIMITS[name]
    allowed = 1e-4 if "float32" in name else 1e-12
    found = []
    for mode in MODES:
        row: Row = {"id": f"higher_order/limit/{side}/{name}/{mode}", "kind": "limit", "framework": side, "case": name}
        row |= {"mode": mode, "order": 3 if mode == "third" else 2, "recipe": limit.recipe, "status": "ok"}
        try:
            expected = product(side, AGAINST.get(mode, "reverse_over_reverse"), limit.remedy)
            row["recipe_error"] = _distance(product(side, mode, limit.remedy), expected)
            if not row["recipe_error"] <= allowed:
                row |= {"status": "differs", "reason": f"the recipe is off by {row['recipe_error']:.1e}"}
                found.append(row)
                continue
        except Exception as error:  # whatever a framework raises is this row's result
            found.append(failed(row, error))
            continue
        try:
            row["error"] = _distance(product(side, mode, limit.loss), expected)
        except Exception as error:
            found.append(failed(row, error) | {"status": "unsupported"})
            continue
        if not row["error"] <= allowed:
            row |= {"status": "unsupported", "reason": f"silently wrong by {row['error']:.1e} of the largest entry"}
        found.append(row)
    return found


def table(rows: list[Row]) -> Table:
    cases = {(row["framework"], row["case"]): row["recipe"] for row in rows}
    found = {(row["framework"], row["case"], row["mode"]): row for row in rows}
    lines = [
        [case, side, *(_text(found.get((side, case, mode))) for mode in MODES), recipe]
        for (side, case), recipe in cases.items()
    ]
    title = (
        "what raises or is silently wrong. f/r: forward over reverse; r/f: reverse over forward; r/r: reverse twice; "
        "H: a Hessian by `vmap`; third: reverse three times. A number: wrong by so much of the largest entry"
    )
    return Table(title, ["derivative of", "side", *MODES.values(), "the form that works"], lines)


def _text(row: Row | None) -> str:
    if row is None or row["status"] == "ok":
        return "ok" if row else ""
    if row["status"] != "unsupported":
        return "FAILED"
    return f"{row['error']:.0e}" if "error" in row else "raises"


@cache  # the form that works is held against one product in three modes
def product(side: str, mode: str, loss) -> np.ndarray:
    rng = np.random.default_rng(5)
    x, v = rng.standard_normal((2, 4, 6))
    if side == "torch":
        return np.asarray(getattr(SIDES[side], mode)(loss, torch.tensor(x), torch.tensor(v)).detach())
    with jax_scope("float64", "cpu"):
        return np.asarray(getattr(SIDES[side], mode)(loss, jax.numpy.asarray(x), jax.numpy.asarray(v)))


def _distance(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(abs(actual - expected).max() / abs(expected).max())
