"""Which side's derivative is not the derivative of its own function? Its own finite differences say."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from comparisons.layout import Arrays
from comparisons.testing.sides import Side

HALVINGS = np.arange(3, 20)
FLAT = 1e-12  # of what a derivative becomes within its parameters' own length: below it, it is rounding of 0
WHAT = {1: ("gradient", "loss"), 2: ("Hessian-vector product", "gradient")}


class Slope(NamedTuple):
    """One side's Taylor test for one loss, along the direction in which the two sides differ most.

    `remainder` is the exponent k of |f(p + h v) - f(p) - h f'| ~ h**k: 2 where the claimed f' is the derivative of f, 1
    where it is not, None where the remainder is rounding. `right` is None where finite differences cannot tell. At
    order 1, f is the loss; at order 2, its gradient along the direction in which the two products differ. At a `kink`
    f has another slope on either side of the point: no claim outside the two is right, and none between is wrong. Where
    f is `flat`, both claims are rounding of 0, and neither is right or wrong.
    """

    side: str
    loss: str
    derivative: float
    claimed: float
    remainder: float | None
    right: bool | None
    order: int = 1
    kink: bool = False
    flat: bool = False

    def __str__(self) -> str:
        what, of = WHAT[self.order]
        slope = "none (rounding only)" if self.remainder is None else f"{self.remainder:.2f}"
        verdict = {
            True: f"is the derivative of its own {of}",
            False: f"is NOT the derivative of its own {of}",
            None: "is too near the other's for finite differences to tell",
        }[self.right]
        if self.kink:
            verdict = f"is {'no' if self.right is False else 'a'} subgradient of its own {of}, which is not smooth here"
        if self.flat:
            verdict = f"is rounding of 0, and so is the other's: its own {of} is flat here"
        return (
            f"{self.side}'s {what} of {self.loss!r} {verdict}: finite differences {self.derivative:.9g}, "
            f"{what} {self.claimed:.9g}, Taylor slope {slope}"
        )


def first_order(loss: str, params: Arrays, grads: Mapping[str, Arrays], sides: Mapping[str, Side]) -> list[Slope]:
    """`grads[side]` is that side's gradient of `loss`, tested against its values."""
    along = _apart(grads, params)
    if along is None:
        return []

    def values(side: str, steps: list[float]) -> list[float]:
        points = [{name: p + step * along[name] for name, p in params.items()} for step in steps]
        return [found[loss] for found in sides[side].values(points)]

    claims = {side: _inner(grads[side], along) for side in grads}
    return _tested(1, loss, claims, values, params, along)


def second_order(
    loss: str, params: Arrays, along: Arrays, products: Mapping[str, Arrays], sides: Mapping[str, Side]
) -> list[Slope]:
    """`products[side]` is that side's Hessian of `loss` times `along`, tested against its gradients."""
    toward, length = _apart(products, params), _length(along)
    if toward is None or not length:
        return []

    def values(side: str, steps: list[float]) -> list[float]:
        points = [{name: p + step * along[name] / length for name, p in params.items()} for step in steps]
        return [_inner(grads[loss], toward) for _, grads in sides[side].gradients(points)]

    claims = {side: _inner(products[side], toward) / length for side in products}
    return _tested(2, loss, claims, values, params, along)


def _tested(
    order: int, loss: str, claims: dict[str, float], values: Callable, params: Arrays, along: Arrays
) -> list[Slope]:
    steps = (_length(params) or 1.0) * 0.5**HALVINGS
    own = _length({name: p for name, p in params.items() if along[name].any()})  # of those that move
    first, second = claims.values()
    gap, size = abs(first - second), max(abs(first), abs(second))
    series = {side: np.array(values(side, [0.0] + [sign * h for h in steps for sign in (1, -1)])) for side in claims}
    flat = _flat(size, list(series.values()), steps, own)
    found = []
    for side, claimed in claims.items():
        here, ups, downs = series[side][0], series[side][1::2], series[side][2::2]
        derivative, doubt = _derivative(here, ups, downs, steps)
        near = min(gap / 3, max(1e-3 * max(size, abs(derivative)), 3 * doubt))
        kink = _kink(here, ups, downs, steps, gap)
        right = None if flat or not doubt <= gap / 10 else bool(abs(derivative - claimed) < near)
        if kink and not flat:
            right = None if min(kink) - near <= claimed <= max(kink) + near else False
        remainders = abs(ups - here - steps * claimed)
        exponent = None if right is None else _exponent(remainders, abs(ups).max() + abs(here))
        found.append(Slope(side, loss, derivative, claimed, exponent, right, order, bool(kink), flat))
    return found


def _flat(size: float, series: list[np.ndarray], steps: np.ndarray, own: float) -> bool:
    """Whether claims of this size, and how far apart the two functions are, are rounding beside the curvature."""
    curved = min((abs(f[1::2] - 2 * f[0] + f[2::2]) / steps**2)[:6].min() for f in series)
    apart = abs(series[0][0] - series[1][0])
    return bool(np.isfinite(curved) and size <= FLAT * curved * own and apart <= FLAT * curved * own**2)


def _kink(here: float, ups: np.ndarray, downs: np.ndarray, steps: np.ndarray, gap: float) -> tuple[float, float] | None:
    """The slopes on either side, where they stay apart as the step shrinks, by half of what the claims are at least."""
    up, down = (ups - here) / steps, (here - downs) / steps
    apart = abs(up - down)[4:12]
    noise = 1e3 * np.finfo(float).eps * (abs(ups) + abs(downs)).max() / steps[12]
    return (up[11], down[11]) if apart.min() > max(0.5 * apart.max(), gap / 2, noise) else None


def _derivative(here: float, ups: np.ndarray, downs: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """The central difference that changes least when its step is halved, extrapolated, and how far off it may be.

    That is by how much it changed, and no less than what f's rounding makes of it: what the smallest steps see of f
    beyond a parabola.
    """
    central = (ups - downs) / (2 * steps)
    extrapolated = (4 * central[1:] - central[:-1]) / 3
    bends = ups - 2 * here + downs
    noise = max(abs(bends[:-1] - 4 * bends[1:])[-4:].max() / 4, np.finfo(float).eps * abs(here))
    doubts = np.maximum(abs(np.diff(extrapolated)), 2 * noise / steps[2:])
    best = int(np.where(np.isfinite(doubts), doubts, np.inf).argmin())
    return float(extrapolated[best + 1]), float(doubts[best])


def _exponent(remainders: np.ndarray, size: float) -> float | None:
    """The slope of log remainder over log step at the smallest steps that are still above rounding."""
    above = np.flatnonzero(remainders > 1e4 * np.finfo(float).eps * size)
    usable = [k for k in above if k and k - 1 in above]
    return float(np.log2(remainders[usable[-1] - 1] / remainders[usable[-1]])) if usable else None


def _apart(grads: Mapping[str, Arrays], params: Arrays) -> Arrays | None:
    """The unit direction from the second side's array to the first's; None where there is none."""
    first, second = grads.values()
    along = {name: _dense(first[name], p) - _dense(second[name], p) for name, p in params.items()}
    length = _length(along)
    return {name: v / length for name, v in along.items()} if np.isfinite(length) and length else None


def _length(arrays: Arrays) -> float:
    return float(np.sqrt(sum(np.vdot(v, v).real for v in arrays.values())))


def _dense(grad: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    return np.zeros_like(like) if grad is None else grad


def _inner(grad: Arrays, along: Arrays) -> float:
    return float(sum(np.vdot(v, grad[name]).real for name, v in along.items() if grad[name] is not None))
