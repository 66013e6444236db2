"""Softmax regression on the digits: H^-1 v, influences and the derivative of a regulariser's strength.

The judge is NumPy: the same minimum by Newton's method with the Hessian written out, and the same systems solved
densely. Conjugate gradients stop at a residual of 1e-12, which H^-1 may magnify: the allowance is 1e-12 x its measured
condition number. Differences of refitted minima judge the judge.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
import torch

from comparisons.difference import TOLERANCE
from comparisons.frameworks import jax_scope
from comparisons.higher_order.judge import SIDES, Arrays, jax_arrays, judged, relative, tensors
from comparisons.problems import images
from comparisons.rows import Row

EXAMPLES, TESTS, STRENGTH = 100, 5, 1e-2
CASE = "softmax regression on the digits"
REFITTED = 1e-6  # what differences of minima refitted a thousandth apart can tell


class Fit(NamedTuple):
    """In NumPy: theta (65, 10), the test loss's gradient, the Hessian (650, 650) and each example's gradient."""

    theta: np.ndarray
    test: np.ndarray
    hessian: np.ndarray
    each: np.ndarray

    @property
    def params(self) -> Arrays:
        return {"w": self.theta[:-1], "b": self.theta[-1]}


def batches() -> tuple[Arrays, Arrays]:
    """Training images and the next few, held out."""
    data = images(EXAMPLES + TESTS)
    cut = {"images": data["images"], "digit": data["digit"]}
    return {k: v[:EXAMPLES] for k, v in cut.items()}, {k: v[EXAMPLES:] for k, v in cut.items()}


def _pieces(batch: Arrays, theta: np.ndarray):
    """Rows with a 1 for the bias, probabilities, and each example's gradient (n, 65, 10)."""
    x = np.concatenate([batch["images"].reshape(len(batch["images"]), -1), np.ones((len(batch["images"]), 1))], 1)
    logits = x @ theta
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return x, p, x[:, :, None] * (p - np.eye(10)[batch["digit"]])[:, None, :]


def fit(strength: float = STRENGTH, weights: np.ndarray | None = None, near: Fit | None = None) -> Fit:
    """The minimum of the weighted mean cross-entropy + strength |theta|^2 by Newton's method, or `near` another."""
    train, test = batches()
    weights = np.full(EXAMPLES, 1 / EXAMPLES) if weights is None else weights
    theta = near.theta if near else np.zeros((65, 10))
    for _ in range(2 if near else 7):
        gradient = np.tensordot(weights, _pieces(train, theta)[2], 1) + 2 * strength * theta
        theta = theta - np.linalg.solve(_hessian(train, theta, weights, strength), gradient.reshape(-1)).reshape(65, 10)
    hessian = _hessian(train, theta, weights, strength)
    return Fit(theta, _pieces(test, theta)[2].sum(0), hessian, _pieces(train, theta)[2])


def _hessian(batch: Arrays, theta: np.ndarray, weights: np.ndarray, strength: float) -> np.ndarray:
    x, p, _ = _pieces(batch, theta)
    inner = p[:, :, None] * np.eye(10) - p[:, :, None] * p[:, None, :]
    outer = (weights[:, None, None] * x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    blocks = (outer.T @ inner.reshape(len(x), -1)).reshape(65, 65, 10, 10)
    return blocks.transpose(0, 2, 1, 3).reshape(650, 650) + 2 * strength * np.eye(650)


def test_loss(found: Fit) -> float:
    _, p, _ = _pieces(batches()[1], found.theta)
    return float(-np.log(p[np.arange(TESTS), batches()[1]["digit"]]).sum())


def expected(found: Fit) -> dict[str, np.ndarray]:
    """The three answers by dense solves."""
    solved = np.linalg.solve(found.hessian, found.test.reshape(-1))
    influence = found.each.reshape(EXAMPLES, -1) @ solved / EXAMPLES
    implicit = -solved @ (2 * found.theta.reshape(-1))
    return {"inverse_hvp": solved, "influence": influence, "implicit_gradient": np.array([implicit])}


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
    """Each side's three answers against dense solves; two of them against minima that are fitted again."""
    found = fit()
    stiffness = np.linalg.eigvalsh(found.hessian)
    condition = float(stiffness[-1] / stiffness[0])
    exact, refitted = expected(found), []
    for name, change in (("influence", _reweighted), ("implicit_gradient", _restrengthened)):
        row = _row(f"{name}: the minimum fitted again", "numpy")
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


def _restrengthened(exact: np.ndarray, found: Fit) -> float:
    up, down = (test_loss(fit(STRENGTH * (1 + h), near=found)) for h in (1e-3, -1e-3))
    return relative((up - down) / (2e-3 * STRENGTH), exact[0])
