"""Softmax regression on the digits: H^-1 v, influences and the derivative of a regulariser's strength.

The judge is NumPy: the same minimum by Newton's method with the Hessian written out, and the same systems solved
densely. Conjugate gradients stop at a residual of 1e-12, which H^-1 may magnify: the allowance is 1e-12 x its measured
condition number. Differences of refitted minima judge the judge.
"""

from functools import cache, partial
from typing import Any

import jax
import numpy as np
import torch

from comparisons.difference import TOLERANCE
from comparisons.frameworks import jax_scope
from comparisons.higher_order.judge import SIDES, jax_arrays, judged, relative, tensors
from comparisons.higher_order.softmax import EXAMPLES, STRENGTH, Fit, batches, expected, fit, test_loss
from comparisons.rows import Row

CASE = "digits"
REMOVED = 5
REFITTED = 1e-6  # what differences of minima refitted a thousandth apart can tell


def answers(side: str, found: Fit) -> dict[str, np.ndarray]:
    """The three answers by one side's conjugate gradients, at NumPy's minimum."""
    module = SIDES[side]
    convert: Any = tensors if side == "torch" else jax_arrays
    compiled: Any = jax.jit if side == "jax" else lambda f: f
    with jax_scope("float64", "cpu"):
        train, held_out = map(convert, batches())
        params = tensors(found.params, leaves=True) if side == "torch" else jax_arrays(found.params)
        vector = convert({"w": found.test[:-1], "b": found.test[-1]})
        strength = convert({"strength": np.array(STRENGTH)})["strength"]

        @compiled
        def objective(p, strength):
            return module.cross_entropies(p, train).mean() + strength * sum((v**2).sum() for v in p.values())

        @compiled
        def test(p):
            return module.cross_entropies(p, held_out).sum()

        solved = module.inverse_hvp(partial(objective, strength=strength), params, vector)
        influence = module.influence(
            partial(objective, strength=strength), compiled(lambda p: module.cross_entropies(p, train)), test, params
        )
        implicit = module.implicit_gradient(objective, test, params, strength)
    return {
        "inverse_hvp": np.concatenate([_array(solved["w"]).reshape(-1), _array(solved["b"])]),
        "influence": _array(influence),
        "implicit_gradient": _array(implicit).reshape(1),
    }


def _array(value) -> np.ndarray:
    return np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)


def rows() -> list[Row]:
    """Each side's three answers against dense solves; two of them against minima that are fitted again.

    How far influences are from examples really left out is shown: they are the first order of that change.
    """
    found = fit()
    stiffness = np.linalg.eigvalsh(found.hessian)
    condition = float(stiffness[-1] / stiffness[0])
    exact, refitted = expected(found), []
    row = _row(f"influence: {REMOVED} examples left out", "numpy")
    refitted.append(judged(row, partial(_left_out, exact["influence"], found), np.inf))
    for name, change in (("influence", _reweighted), ("implicit_gradient", _restrengthened)):
        row = _row(f"{name}: refitted", "numpy")
        refitted.append(judged(row, partial(change, exact[name], found), REFITTED))
    judged_rows = []
    for side in SIDES:
        taken = cache(partial(answers, side, found))
        for name, value in exact.items():
            row = _row(f"{name}: a dense solve", side) | {"condition": condition}
            judged_rows.append(judged(row, lambda: relative(taken()[name], value), TOLERANCE * condition))
    return judged_rows + refitted


def _row(check: str, side: str) -> Row:
    row: Row = {"id": f"higher_order/solve/{check}/{side}", "kind": "solve", "case": CASE, "check": check}
    return row | {"framework": side, "order": 2}


def _reweighted(exact: np.ndarray, found: Fit) -> float:
    """The test loss as the most influential example's weight in the mean goes down."""
    most = int(abs(exact).argmax())

    def moved(h: float) -> float:
        weights = np.full(EXAMPLES, 1 / EXAMPLES)
        weights[most] *= 1 - h
        return test_loss(fit(weights=weights, near=found))

    return relative((moved(1e-3) - moved(-1e-3)) / 2e-3, exact[most])


def _left_out(exact: np.ndarray, found: Fit) -> float:
    most = np.argsort(-abs(exact))[:REMOVED]
    changes = []
    for example in most:
        weights = np.full(EXAMPLES, 1 / EXAMPLES)
        weights[example] = 0
        changes.append(test_loss(fit(weights=weights, near=found)) - test_loss(found))
    return relative(exact[most], changes)


def _restrengthened(exact: np.ndarray, found: Fit) -> float:
    up, down = (test_loss(fit(STRENGTH * (1 + h), near=found)) for h in (1e-3, -1e-3))
    return relative((up - down) / (2e-3 * STRENGTH), exact[0])
