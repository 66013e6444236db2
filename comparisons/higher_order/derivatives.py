"""Derivatives of order 1 to 6 of scalar functions, against what analysis says they are."""

from collections.abc import Callable
from functools import cache, partial
from math import factorial
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from numpy.polynomial import Polynomial

from comparisons.difference import TOLERANCE
from comparisons.frameworks import jax_scope
from comparisons.higher_order.judge import SIDES, cell, judged
from comparisons.rows import Row, Table, Unit

KINDS = ("derivative",)
ORDERS = range(1, 7)


class Function(NamedTuple):
    """f as an expression of `torch` or `jax.numpy` and x, its n-th derivative in NumPy, and an interval for x."""

    f: Callable[[Any, Any], Any]
    derivative: Callable[[np.ndarray, int], np.ndarray]
    low: float
    high: float

    def scale(self, order: int) -> float:
        """The largest magnitude of the derivative on the interval."""
        return float(abs(self.derivative(np.linspace(self.low, self.high, 201), order)).max())


def tanh(x: np.ndarray, order: int) -> np.ndarray:
    """A polynomial p in t = tanh x has the derivative p'(t) (1 - t^2)."""
    p = Polynomial([0, 1])
    for _ in range(order):
        p = p.deriv() * Polynomial([1, 0, -1])
    return p(np.tanh(x))


def gaussian(x: np.ndarray, order: int) -> np.ndarray:
    """p(x) exp(-x^2) has the derivative (p'(x) - 2 x p(x)) exp(-x^2)."""
    p = Polynomial([1])
    for _ in range(order):
        p = p.deriv() - Polynomial([0, 2]) * p
    return p(x) * np.exp(-(x**2))


def cubic_sine(x: np.ndarray, order: int) -> np.ndarray:
    """p(x) sin x + q(x) cos x has the derivative (p' - q) sin x + (q' + p) cos x."""
    p, q = Polynomial([0, 0, 0, 1]), Polynomial([0])
    for _ in range(order):
        p, q = p.deriv() - q, q.deriv() + p
    return p(x) * np.sin(x) + q(x) * np.cos(x)


def witch(x: np.ndarray, order: int) -> np.ndarray:
    """1 / (1 + x^2) is the imaginary part of 1 / (x - i)."""
    return ((-1) ** order * factorial(order) / (x - 1j) ** (order + 1)).imag


QUINTIC = Polynomial([1, -2, 0.5, 3, -1, 0.25])

FUNCTIONS = {
    "sin x": Function(lambda xp, x: xp.sin(x), lambda x, n: np.sin(x + n * np.pi / 2), -3, 3),
    "exp x": Function(lambda xp, x: xp.exp(x), lambda x, n: np.exp(x), -2, 2),
    "log x": Function(lambda xp, x: xp.log(x), lambda x, n: -factorial(n - 1) * (-1 / x) ** n, 0.5, 4),
    "tanh x": Function(lambda xp, x: xp.tanh(x), tanh, -2, 2),
    "x^3 sin x": Function(lambda xp, x: x**3 * xp.sin(x), cubic_sine, -3, 3),
    "exp(-x^2)": Function(lambda xp, x: xp.exp(-(x**2)), gaussian, -2, 2),
    "1 / (1 + x^2)": Function(lambda xp, x: 1 / (1 + x * x), witch, -2, 2),
    "a quintic": Function(
        lambda xp, x: sum(c * x**k for k, c in enumerate(QUINTIC.coef)), lambda x, n: QUINTIC.deriv(n)(x), -2, 2
    ),
}


def in_torch(name: str, order: int, points: np.ndarray) -> np.ndarray:
    f = partial(FUNCTIONS[name].f, torch)
    nth = SIDES["torch"].nth_derivative
    return np.array([nth(f, torch.tensor(x), order).item() for x in points])


def in_jax(name: str, order: int, points: np.ndarray) -> np.ndarray:
    with jax_scope("float64", "cpu"):
        return np.asarray(_compiled(name)(points)[order - 1])


@cache
def _compiled(name: str):
    """All six orders as one program."""
    f, nth = partial(FUNCTIONS[name].f, jax.numpy), SIDES["jax"].nth_derivative
    return jax.jit(jax.vmap(lambda x: [nth(f, x, order) for order in ORDERS]))


RUNS = {"torch": in_torch, "jax": in_jax}


def units() -> list[Unit]:
    return [Unit("higher_order", "derivatives", f"derivatives  {name}", partial(rows, name)) for name in FUNCTIONS]


def rows(name: str, count: int = 5) -> list[Row]:
    """A row a side and order: the largest error at `count` points, in units of the derivative's largest value."""
    function = FUNCTIONS[name]
    points = np.linspace(function.low, function.high, count)
    found = []
    for side, run in RUNS.items():
        for order in ORDERS:
            row: Row = {"id": f"higher_order/derivative/{side}/{name}/{order}", "kind": "derivative"}
            row |= {"framework": side, "function": name, "order": order}
            found.append(judged(row, partial(_error, run, name, order, points), TOLERANCE))
    return found


def _error(run: Callable, name: str, order: int, points: np.ndarray) -> float:
    """In units of the derivative's largest value; where that is 0, as it stands."""
    function = FUNCTIONS[name]
    error = abs(run(name, order, points) - function.derivative(points, order)).max()
    return float(error / (function.scale(order) or 1.0))


def table(rows: list[Row]) -> Table:
    cells = {(row["function"], row["framework"], row["order"]): row for row in rows}
    lines = [
        [name, side, *(cell(cells.get((name, side, order))) for order in ORDERS)]
        for name, side in dict.fromkeys((row["function"], row["framework"]) for row in rows)
    ]
    return Table("derivatives of order 1 to 6: error against analysis", ["of", "side", *map(str, ORDERS)], lines)
