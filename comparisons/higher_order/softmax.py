"""The judge of solves, in NumPy: softmax regression on the digits, its Hessian written out and solved densely."""

from typing import NamedTuple

import numpy as np

from comparisons.problems import images

Arrays = dict[str, np.ndarray]
EXAMPLES, TESTS, STRENGTH = 100, 5, 1e-2


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
