"""Are the gradients equal? Cells in, rows out.

A float64 row is one loss and one parameter: how far apart the sides are, and, within each side, how far the strategy is
from what `per_loss_retained` implies. A float32 row is one side's distance to the float64 reference.
"""

from functools import lru_cache, partial

import numpy as np

from comparisons.difference import Gradients, Pair, difference
from comparisons.frameworks import in_jax, in_torch
from comparisons.gradients.tables import tables
from comparisons.higher_order.implied import REFERENCES, implied_second
from comparisons.problems import Problem, direction, problem
from comparisons.rows import Row, Unit, lacking
from comparisons.scenarios import EVERY, REFERENCE, Cell

__all__ = ["implied", "rows", "tables", "units"]

WITHIN = ("within_torch", "within_jax")


def units(grid: list[Cell], size: str = "default", device: str = "cpu") -> list[Unit]:
    """The grid as units of work, a cell each."""
    return [Unit("gradients", cell.problem, "  ".join(cell[:3]), partial(rows, cell, size, device)) for cell in grid]


def rows(cell: Cell, size: str = "default", device: str = "cpu") -> list[Row]:
    """The rows of one cell; if a framework raises, one row with that status."""
    try:
        return _float64(cell, size, device) if cell.dtype == "float64" else _float32(cell, size, device)
    except Exception as error:  # whatever a framework raises is this cell's result
        return [lacking(_head(cell, size, device), error)]


def _float64(cell: Cell, size: str, device: str) -> list[Row]:
    sides = {framework: evaluate(framework, cell, size, device) for framework in ("torch", "jax")}
    found = {"between": difference(sides["jax"], sides["torch"], names=("jax", "torch"))}
    reference = REFERENCES.get(cell.strategy, "") if EVERY[cell.strategy].order == 2 else REFERENCE
    for framework, grads in sides.items() if reference and EVERY[cell.strategy].gives != "features" else ():
        given = evaluate(framework, cell._replace(strategy=reference, jit=True), _size(cell, size), device)
        actual, expected = _implied(cell, grads, given, problem(cell.problem, _size(cell, size)))
        names = (f"{framework} {cell.strategy}", reference)
        found[f"within_{framework}"] = difference(actual, expected, names=names)
    pairs = {key: {(p.loss, p.parameter): p for p in comparison.pairs} for key, comparison in found.items()}
    rows = []
    for key, pair in pairs["between"].items():
        row = _row(cell, size, device, pair) | {"tolerance": pair.tolerance}
        row |= {name: pairs[name][key].relative_error if name in pairs else None for name in WITHIN}
        wrong = [(name, found[key]) for name, found in pairs.items() if not found[key].equal]
        row |= {"equal": not wrong}
        for name, worst in wrong[:1]:
            row |= {"status": "differs", "reason": f"{name}: {worst.hint or f'off by {worst.relative_error:.1e}'}"}
        rows.append(row)
    return rows


def _float32(cell: Cell, size: str, device: str) -> list[Row]:
    reference = evaluate("torch", cell._replace(dtype="float64"), size, device)
    rows = []
    for framework in ("torch", "jax"):
        grads = evaluate(framework, cell, size, device)
        for pair in difference(grads, reference, names=(framework, "the float64 reference")).pairs:
            row = _row(cell, size, device, pair, framework)
            row |= {"eps": pair.relative_error / float(np.finfo(cell.dtype).eps)}
            if not np.isfinite(pair.error):
                row |= {"status": "differs", "reason": pair.hint}
            rows.append(row)
    return rows


def _implied(cell: Cell, grads: Gradients, given: Gradients, stated: Problem) -> tuple[Gradients, Gradients]:
    if EVERY[cell.strategy].order == 2:
        return implied_second(cell.strategy, grads, given, stated)
    return grads, implied(given, EVERY[cell.strategy].gives, direction(stated))


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
    stated = problem(cell.problem, _size(cell, size))
    try:
        if framework == "torch":
            return in_torch(cell.problem, stated, cell.strategy, cell.dtype, device)
        return in_jax(cell.problem, stated, cell.strategy, cell.dtype, device, cell.jit)
    except Exception as error:
        raise SideFailed(f"{framework}: {type(error).__name__}: {error}") from error


class SideFailed(Exception):
    """One framework raised; the message begins with its name."""


def _size(cell: Cell, size: str) -> str:
    """A Hessian has the square of the parameters' number: it is taken where they are few."""
    return "dense" if EVERY[cell.strategy].gives in ("hessian", "diagonal") else size


def _head(cell: Cell, size: str, device: str, framework: str | None = None) -> Row:
    mode, size = "jit" if cell.jit else "op-by-op", _size(cell, size)
    return {
        "id": "/".join(filter(None, ("gradients", *cell[:3], size, device, mode, framework))),
        "problem": cell.problem,
        "strategy": cell.strategy,
        "order": EVERY[cell.strategy].order,
        "dtype": cell.dtype,
        "size": size,
        "device": device,
        "mode": mode,
        "framework": framework,
        "status": "ok",
    }


def _row(cell: Cell, size: str, device: str, pair: Pair, framework: str | None = None) -> Row:
    row = _head(cell, size, device, framework)
    row["id"] += f"/{pair.loss}/{pair.parameter}"
    row |= {"loss": pair.loss, "parameter": pair.parameter, "error": pair.error, "scale": pair.scale}
    return row | {"relative_error": pair.relative_error, "unused": pair.unused}
