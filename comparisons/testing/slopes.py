"""Which side's gradient is not the derivative of its own loss? Its own finite differences say."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from comparisons.layout import Arrays

HALVINGS = range(3, 20)


class Slope(NamedTuple):
    """One side's Taylor test for one loss, along the direction in which the two sides' gradients differ most.

    `remainder` is the exponent k of |f(p + h v) - f(p) - h g.v| ~ h**k: 2 where g is the derivative of f, 1 where it is
    not, None where the remainder is rounding. `right` is None where finite differences cannot tell.
    """

    side: str
    loss: str
    derivative: float
    claimed: float
    remainder: float | None
    right: bool | None

    def __str__(self) -> str:
        slope = "none (rounding only)" if self.remainder is None else f"{self.remainder:.2f}"
        verdict = {
            True: "is the derivative of its own loss",
            False: "is NOT the derivative of its own loss",
            None: "is too near the other's for finite differences to tell",
        }[self.right]
        return (
            f"{self.side}'s gradient of {self.loss!r} {verdict}: finite differences {self.derivative:.9g}, "
            f"gradient {self.claimed:.9g}, Taylor slope {slope}"
        )


def slopes(loss: str, params: Arrays, grads: Mapping[str, Arrays], values: Mapping[str, Callable]) -> list[Slope]:
    """`grads[side]` is that side's gradient of `loss`; `values[side](points)` its losses at each of many points."""
    first, second = grads
    along = {name: _dense(grads[first], name, p) - _dense(grads[second], name, p) for name, p in params.items()}
    length = np.sqrt(sum(np.vdot(v, v).real for v in along.values()))
    if not np.isfinite(length) or not length:
        return []
    reach = np.sqrt(sum(np.vdot(p, p).real for p in params.values())) or 1.0
    along = {name: v / length for name, v in along.items()}
    steps = [reach * 0.5**k for k in HALVINGS]
    points = [params] + [{n: p + s * h * along[n] for n, p in params.items()} for h in steps for s in (1, -1)]
    claims = {side: _inner(grads[side], along) for side in grads}
    gap = abs(claims[first] - claims[second])
    found = []
    for side, evaluate in values.items():
        here, *there = (point[loss] for point in evaluate(points))
        ups, downs = np.array(there[::2]), np.array(there[1::2])
        derivative, doubt = _derivative(ups, downs, np.array(steps))
        right = None if doubt > gap / 10 else bool(abs(derivative - claims[side]) < gap / 3)
        exponent = _exponent(abs(ups - here - np.array(steps) * claims[side]), abs(ups).max() + abs(here))
        found.append(Slope(side, loss, derivative, claims[side], exponent, right))
    return found


def _derivative(ups: np.ndarray, downs: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """The central difference that changes least when its step is halved, extrapolated, and by how much it changed."""
    central = (ups - downs) / (2 * steps)
    extrapolated = (4 * central[1:] - central[:-1]) / 3
    changes = abs(np.diff(extrapolated))
    best = int(changes.argmin())
    return float(extrapolated[best + 1]), float(changes[best])


def _exponent(remainders: np.ndarray, size: float) -> float | None:
    """The slope of log remainder over log step at the smallest steps that are still above rounding."""
    above = np.flatnonzero(remainders > 1e4 * np.finfo(float).eps * size)
    usable = [k for k in above if k and k - 1 in above]
    return float(np.log2(remainders[usable[-1] - 1] / remainders[usable[-1]])) if usable else None


def _dense(grad: Arrays, name: str, like: np.ndarray) -> np.ndarray:
    return np.zeros_like(like) if grad[name] is None else grad[name]


def _inner(grad: Arrays, along: Arrays) -> float:
    return float(sum(np.vdot(v, grad[name]).real for name, v in along.items() if grad[name] is not None))
