"""Cost as a function of K, of depth and of the batch: a line fitted to the times, beside the FLOPs' own line."""

from collections.abc import Callable, Iterable
from statistics import linear_regression
from typing import NamedTuple

from comparisons.cost import calls, theory
from comparisons.cost.regimes import Place, place
from comparisons.cost.timing import interleaved, ratio
from comparisons.rows import Row, failed

MODE = {"torch": "eager", "jax": "jit"}


class Line(NamedTuple):
    """`intercept + slope * x`; `miss` is the largest distance of a point from it, in terms of the point."""

    intercept: float
    slope: float
    miss: float


def fit(xs: Iterable[float], ys: Iterable[float]) -> Line:
    """Least squares, each point weighted alike."""
    xs, ys = list(xs), list(ys)
    slope, intercept = linear_regression(xs, ys)
    return Line(intercept, slope, max(abs(intercept + slope * x - y) / abs(y) for x, y in zip(xs, ys, strict=True)))


def rows(
    framework: str,
    regime: str,
    axis: str,
    points: Iterable[int],
    strategies: Iterable[str],
    device: str = "cpu",
    seconds: float = 2,
    rounds: int = 5,
) -> list[Row]:
    """A row a strategy: times in terms of the summed gradient's at the first point, taken in one interleaved run."""
    points = sorted(points)
    places = {point: place(regime, **{axis: point}) for point in points}
    found: list[Row] = []
    with calls.scope(device):
        make = calls.MODES[MODE[framework]][1]
        made: dict[tuple[str, int], Callable[[], object]] = {}
        for strategy in dict.fromkeys(("summed", *strategies)):
            row = _row(framework, regime, axis, points, strategy, device)
            try:
                made |= {(strategy, point): make(at, strategy, device).run for point, at in places.items()}
                found.append(row | _in_flops(framework, strategy, places))
            except Exception as error:
                found.append(failed(row, error))
        samples = interleaved(made, seconds, rounds) if ("summed", points[-1]) in made else {}
    for row in found:
        if (row["strategy"], points[-1]) in samples:
            ratios = [ratio(samples, (row["strategy"], point), ("summed", points[0])).median for point in points]
            line = fit(points, ratios)
            row |= {"time_ratios": ratios, "intercept": line.intercept, "slope": line.slope, "miss": line.miss}
    return found


def _row(framework: str, regime: str, axis: str, points: list[int], strategy: str, device: str) -> Row:
    return {
        "id": f"cost/sweep/{regime}/{axis}/{strategy}/{device}/{framework}",
        "kind": "sweep",
        "regime": regime,
        "axis": axis,
        "points": points,
        "strategy": strategy,
        "framework": framework,
        "mode": MODE[framework],
        "device": device,
        "status": "ok",
    }


def _in_flops(framework: str, strategy: str, places: dict[int, Place]) -> Row:
    flops = [theory.predicted(framework, strategy, at.parts)[0] for at in places.values()]
    base = theory.predicted(framework, "summed", places[min(places)].parts)[0]
    if None in flops or not base:
        return {}
    ratios = [count / base for count in flops if count is not None]
    return {"flop_ratios": ratios, "flop_slope": fit(places, ratios).slope}
