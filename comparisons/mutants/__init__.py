"""What do assertions on gradients miss? Planted porting bugs to catch, and correct pairs to leave alone."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from comparisons.difference import difference
from comparisons.mutants import inputs, jax_models, tools, torch_models
from comparisons.mutants.pairs import SHAPES, Shape, draw, gradients
from comparisons.mutants.planted import MUTANTS, Mutant
from comparisons.mutants.tables import tables
from comparisons.mutants.tools import VERDICT
from comparisons.rows import Row, Unit, failed
from comparisons.testing import jax_side, torch_side

__all__ = ["MUTANTS", "mutant_row", "pair_row", "tables", "units"]

DTYPES = ("float64", "float32")
DRAWS = 26


def units(draws: int = DRAWS) -> list[Unit]:
    """Every planted bug, then `draws` correct pairs of each shape, then the ill-conditioned ones."""
    planted = [_unit("planted", f"{m.model}: {m.bug}", partial(mutant_row, m)) for m in MUTANTS]
    correct = [
        _unit("correct", f"{shape} {k}", partial(pair_row, shape, k, *_scales(k)))
        for shape in SHAPES
        for k in range(draws)
    ]
    hard = [_unit("ill-conditioned", f"{shape}", partial(pair_row, shape, 0, 1.0, 1.0, 1e6)) for shape in SHAPES[:4]]
    return planted + correct + hard


def mutant_row(mutant: Mutant) -> Row:
    """One planted bug: which assertions fail on it."""
    there, here = {}, {}
    params, batch = inputs.problem(mutant.model)
    for dtype in DTYPES:
        there[dtype] = {loss: dict(grad) for loss, grad in _right(mutant.model, dtype).items()}
        bug = "" if mutant.after else mutant.bug
        losses = partial(getattr(torch_models, mutant.model), bug=bug)
        try:
            _, here[dtype] = torch_side.gradients(losses, params, dtype, batch)
        except ValueError as error:
            return _head(mutant) | {"status": "failed", "reason": str(error)}
        if mutant.after:
            here[dtype] = {
                loss: {n: None if g is None else g.copy() for n, g in grad.items()}
                for loss, grad in here[dtype].items()
            }
            mutant.after(here[dtype])
        here[dtype] = {loss: _dense(grad, params) for loss, grad in here[dtype].items()}
    found = tools.fails(there, here)
    worst = difference(there["float64"], here["float64"]).pairs[0]
    row = _head(mutant) | {"caught": found, "relative_error": worst.relative_error, "hint": worst.hint}
    return row if found[VERDICT] else row | {"status": "differs", "reason": "a planted bug was not caught"}


def pair_row(shape: Shape, seed: int, weights: float, loss: float, mean: float = 0.0) -> Row:
    """One correct pair: which assertions fail on it. An ill-conditioned one is kept apart, and may fail."""
    kind, norm = "ill-conditioned" if mean else "correct", "-batch" if shape.norm == "batch" else ""
    row: Row = {
        "id": f"mutants/{kind}/{shape.depth}x{shape.width}-{shape.activation}{norm}/{seed}",
        "kind": kind,
        "weights": weights,
        "loss": loss,
        "mean": mean,
        "status": "ok",
    }
    params, batch = draw(shape, seed, weights, loss, mean)
    sides = {dtype: gradients(shape, params, batch, dtype) for dtype in DTYPES}
    found = tools.fails({d: s[0] for d, s in sides.items()}, {d: s[1] for d, s in sides.items()})
    worst = difference(*sides["float64"]).pairs[0]
    row |= {"caught": found, "relative_error": worst.relative_error, "hint": worst.hint}
    if found[VERDICT] and kind == "correct":
        return row | {"status": "differs", "reason": f"a correct pair failed: {worst.relative_error:.1e}"}
    return row


def _scales(k: int) -> tuple[float, float]:
    """Scales of the weights and of the losses from 1e-6 to 1e6, every decade in turn."""
    return 10.0 ** (k % 13 - 6), 10.0 ** (5 * k % 13 - 6)


@cache
def _right(model: str, dtype: str) -> dict:
    params, batch = inputs.problem(model)
    return jax_side.gradients(getattr(jax_models, model), params, dtype, batch)[1]


def _dense(grad: dict, params: dict) -> dict:
    kind = {name: next((g.dtype for g in grad.values() if g is not None), p.dtype) for name, p in params.items()}
    return {n: np.zeros(p.shape, kind[n]) if grad[n] is None else np.array(grad[n]) for n, p in params.items()}


def _head(mutant: Mutant) -> Row:
    return {
        "id": f"mutants/planted/{mutant.model}/{mutant.bug}",
        "kind": "planted",
        "model": mutant.model,
        "bug": mutant.bug,
        "source": mutant.source,
        "status": "ok",
    }


def _unit(group: str, label: str, row: Callable[[], Row]) -> Unit:
    def rows() -> list[Row]:
        try:
            return [row()]
        except Exception as error:  # whatever a framework raises is this row's result
            return [failed({"id": f"mutants/{group}/{label}", "kind": group, "caught": {}}, error)]

    return Unit("mutants", group, label, rows)
