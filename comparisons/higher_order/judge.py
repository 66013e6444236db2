"""What a row of higher order says: how far it is off, and what is allowed."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import jax
import numpy as np
import torch

import jax_impl.first_order
import jax_impl.higher_order
import torch_impl.first_order
import torch_impl.higher_order
from comparisons.difference import Gradients
from comparisons.frameworks import jax_scope
from comparisons.rows import Row, failed
from comparisons.testing import as_numpy

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


def gradients(side: str, losses: Callable, params: Arrays, *rest: Any) -> Gradients:
    """The gradient of each of `losses(side's module, params, *rest)`; in JAX compiled with all arrays as arguments."""
    found: dict
    if side == "torch":
        values = partial(losses, SIDES[side])
        batches = [tensors(batch) for batch in rest]
        take: Callable = torch_impl.first_order.per_loss_retained
        found = take(lambda p: values(p, *batches), tensors(params, leaves=True))
    else:
        with jax_scope("float64", "cpu"):
            found = compiled(losses)(jax_arrays(params), *map(jax_arrays, rest))
    return {name: {key: as_numpy(g) for key, g in grads.items()} for name, grads in found.items()}


@cache
def compiled(losses: Callable) -> Callable:
    """One program for each function of losses."""
    values = partial(losses, SIDES["jax"])
    take: Callable = jax_impl.first_order.per_loss_functional
    return jax.jit(lambda p, *batches: take(lambda p: values(p, *batches), p))


def slope(value: Callable[[Arrays], float], params: Arrays, along: Arrays, step: float = 1e-3) -> float:
    """The derivative along a direction by central differences at two steps, extrapolated: error of order step^4."""

    def central(h: float) -> float:
        up, down = (value({name: p + s * along[name] for name, p in params.items()}) for s in (h, -h))
        return (up - down) / (2 * h)

    return (4 * central(step / 2) - central(step)) / 3


def network(*widths: int, seed: int) -> dict[str, np.ndarray]:
    """Parameters of `mlp`: weights of variance 1 / fan-in, biases about 0."""
    rng, params = np.random.default_rng(seed), {}
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        params[f"w{k}"] = rng.standard_normal((inputs, outputs)) / inputs**0.5
        params[f"b{k}"] = rng.standard_normal(outputs) / 10
    return params
