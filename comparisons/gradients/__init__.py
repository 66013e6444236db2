"""Are the gradients equal? Cells in, rows out.

A float64 cell gives one row for each loss and parameter between the sides, and one for each side between the strategy
and `per_loss_retained`. A float32 cell measures each side against the float64 reference.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache, partial

import numpy as np

from comparisons.difference import Difference, Pair, difference
from comparisons.frameworks import Gradients, in_jax, in_torch
from comparisons.gradients.tables import tables
from comparisons.problems import direction, problem
from comparisons.rows import Row, Unit, failed
from comparisons.scenarios import REFERENCE, STRATEGIES, Cell

__all__ = ["implied", "rows", "tables", "units"]


def units(grid: Iterable[Cell], size: str = "default", device: str = "cpu") -> list[Unit]:
    """The grid as units of work, a cell each."""
    return [
        Unit(
            "gradients",
            cell.problem,
            f"{cell.problem}  {cell.strategy}  {cell.dtype}",
            partial(rows, cell, size, device),
        )
        for cell in grid
    ]


def rows(cell: Cell, size: str = "default", device: str = "cpu") -> list[Row]:
    """The rows of one cell; if it crashes, one row with status `failed`."""
    found: list[Row] = []
    try:
        comparisons = _float64(cell, size, device) if cell.dtype == "float64" else _float32(cell, size, device)
        for framework, comparison in comparisons:
            found += [_row(cell, size, device, framework, pair) for pair in comparison.pairs]
    except Exception as error:  # whatever a framework raises is this cell's result
        found.append(failed(_head(cell, size, device), error))
    return found


def _float64(cell: Cell, size: str, device: str) -> Iterator[tuple[str | None, Difference]]:
    sides = {framework: evaluate(framework, cell, size, device) for framework in ("torch", "jax")}
    yield None, difference(sides["jax"], sides["torch"], names=("jax", "torch"))
    if STRATEGIES[cell.strategy].gives == "features" or (cell.strategy == REFERENCE and cell.jit):
        return
    for framework, grads in sides.items():
        per_loss = evaluate(framework, cell._replace(strategy=REFERENCE, jit=True), size, device)
        expected = implied(per_loss, STRATEGIES[cell.strategy].gives, direction(problem(cell.problem, size)))
        yield framework, difference(grads, expected, names=(cell.strategy, REFERENCE))


def _float32(cell: Cell, size: str, device: str) -> Iterator[tuple[str, Difference]]:
    reference = evaluate("torch", cell._replace(dtype="float64"), size, device)
    for framework in ("torch", "jax"):
        grads = evaluate(framework, cell, size, device)
        yield framework, difference(grads, reference, np.inf, names=(framework, "float64"))


def implied(per_loss: Gradients, gives: str, along: dict[str, np.ndarray]) -> Gradients:
    """What one gradient per loss says a strategy should give: their sum, themselves, or inner products."""

    def zeros_for_none(grad):
        return {name: np.zeros_like(v) if grad[name] is None else grad[name] for name, v in along.items()}

    dense = {loss: zeros_for_none(grad) for loss, grad in per_loss.items()}
    if gives == "total":
        return {"total": {name: np.sum([grad[name] for grad in dense.values()], axis=0) for name in along}}
    if gives == "along":
        return {loss: {gives: np.sum([np.vdot(grad[n], along[n]) for n in along])} for loss, grad in dense.items()}
    return per_loss


@lru_cache(maxsize=6)  # both sides of the reference, of a strategy, and of its float32
def evaluate(framework: str, cell: Cell, size: str, device: str) -> Gradients:
    """One framework's gradients for one cell; the reference that a problem's cells share is taken once."""
    if framework == "torch":
        return in_torch(cell.problem, problem(cell.problem, size), cell.strategy, cell.dtype, device)
    return in_jax(cell.problem, problem(cell.problem, size), cell.strategy, cell.dtype, device, cell.jit)


def _head(cell: Cell, size: str, device: str, framework: str | None = None) -> Row:
    mode = "jit" if cell.jit else "op-by-op"
    return {
        "id": "/".join(filter(None, ("gradients", *cell[:3], size, device, mode, framework))),
        "problem": cell.problem,
        "strategy": cell.strategy,
        "order": 1,
        "dtype": cell.dtype,
        "size": size,
        "device": device,
        "mode": mode,
        "framework": framework,
        "status": "ok",
    }


def _row(cell: Cell, size: str, device: str, framework: str | None, pair: Pair) -> Row:
    row = _head(cell, size, device, framework)
    row["id"] = f"{row['id']}/{pair.loss}/{pair.parameter}"
    row |= {"loss": pair.loss, "parameter": pair.parameter, "error": pair.error, "scale": pair.scale}
    row |= {"relative_error": pair.relative_error, "unused": pair.unused}
    if cell.dtype == "float64":
        row |= {"tolerance": pair.tolerance, "equal": pair.equal}
    else:
        row |= {"eps": pair.relative_error / float(np.finfo(cell.dtype).eps)}
    if not pair.equal or not np.isfinite(pair.error):
        row |= {"status": "differs", "reason": pair.hint or f"{pair.relative_error:.1e} of leaf scale"}
    return row
