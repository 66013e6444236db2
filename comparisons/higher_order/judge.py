"""What a row of higher order says: how far it is off, and what is allowed."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax
import numpy as np
import torch

import jax_impl.higher_order
import torch_impl.higher_order
from comparisons.rows import Row, failed

SIDES: Mapping[str, ModuleType] = {"torch": torch_impl.higher_order, "jax": jax_impl.higher_order}
Arrays = Mapping[str, np.ndarray]


def judged(row: Row, error: Callable[[], float], allowed: float, what: str = "off by") -> Row:
    """`row` with what `error()` gives; it differs where that is above `allowed` or not a number, fails if it raises."""
    row |= {"status": "ok", "allowed": float(allowed)}
    try:
        row["error"] = found = float(error())
    except Exception as raised:  # whatever a framework raises is this row's result
        return failed(row, raised)
    if not found <= allowed:
        row |= {"status": "differs", "reason": f"{what} {found:.1e}, allowed {allowed:.1e}"}
    return row


def cell(row: Row | None, digits: int = 0) -> str:
    """A row's error as a table shows it."""
    if row is None or "error" not in row:
        return "FAILED" if row else ""
    return f"{'DIFFERS ' * (row['status'] == 'differs')}{row['error']:.{digits}e}"


def relative(actual: Any, expected: Any) -> float:
    """The largest difference in units of the largest expected magnitude; 0 where both are 0."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    error, scale = abs(actual - expected).max(initial=0), abs(expected).max(initial=0)
    return float(error / scale) if scale else float(error and np.inf)


def tensors(arrays: Arrays, leaves: bool = False) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, requires_grad=leaves) for name, value in arrays.items()}


def jax_arrays(arrays: Arrays) -> dict[str, jax.Array]:
    return {name: jax.numpy.asarray(value) for name, value in arrays.items()}
