"""Line charts: numbers in, points in a view box out; the template draws them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

MARKS = ("circle", "square", "triangle", "diamond", "bar", "wedge")
LEFT, TOP, BOTTOM, RIGHT = 52, 10, 34, 12


class Series(NamedTuple):
    """A named line of (x, y) in colour `tone`; a `bare` one has no marks (`dashed`: theory), `dots` have no line.

    With `steps` a value stays until the next.
    """

    name: str
    points: Sequence[tuple[float, float]]
    tone: int
    bare: bool = False
    dots: bool = False
    dashed: bool = False
    steps: bool = False


def chart(
    series: Sequence[Series],
    x: str,
    y: str,
    size: tuple[int, int] = (420, 240),
    log: bool = False,
    names: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """What the template needs; `names` stand for the whole numbers 0, 1, ... on the horizontal axis."""
    width, height = size
    every = [point for line in series for point in line.points]
    xs, ys = [p[0] for p in every], [p[1] for p in every]
    low, high = limits or ((min(ys), max(ys)) if log else (min(0, *ys, 0), max(*ys, 0) or 1))
    left, right = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    high = high if high > low else low + 1

    def across(value: float) -> float:
        return round(LEFT + (width - LEFT - RIGHT) * (value - left) / (right - left), 1)

    def up(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
        return round(height - BOTTOM - (height - TOP - BOTTOM) * share, 1)

    found = []
    for line in series:
        points = [(across(a), up(b)) for a, b in line.points]
        way = "H{}V{}" if line.steps else "L{} {}"
        path = "" if line.dots else "M{} {}".format(*points[0]) + "".join(way.format(*point) for point in points[1:])
        drawn = {"path": path, "points": [] if line.bare else points, "mark": MARKS[line.tone % len(MARKS)]}
        found.append(drawn | {"name": line.name, "tone": line.tone, "bare": line.bare, "dashed": line.dashed})
    bottoms = spread(names, 8) if names else [(tick, short(tick)) for tick in ticks(left, right, 6)]
    sides = powers(low, high) if log else ticks(low, high, 5)
    return {
        "width": width,
        "height": height,
        "x": x,
        "y": y,
        "series": found,
        "bottom": [(across(value), name) for value, name in bottoms],
        "side": [(up(value), short(value), value == 0 and low < 0) for value in sides],
        "frame": (LEFT, TOP, width - RIGHT, height - BOTTOM),
    }


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two, about `count` of them."""
    rough = (high - low) / max(count - 1, 1)
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 2.5, 5, 10) if unit * k >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def spread(names: Sequence[str], count: int) -> list[tuple[int, str]]:
    """The names with their places: all, or about `count` of them, the first and the last always."""
    step, last = math.ceil(len(names) / count), len(names) - 1
    return [(k, name) for k, name in enumerate(names) if k == last or (k % step == 0 and k <= last - step)]


def powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, or the powers alone where those are many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(exponents) > 4 else (1, 2, 5)
    return [k * 10.0**e for e in exponents for k in factors if low <= k * 10.0**e <= high]


def short(value: float) -> str:
    """A number for an axis: 20k, 1.5M, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.3g}"
