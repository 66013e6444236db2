"""Is a small difference more than rounding? The last bit of what goes in, turned, says how far rounding reaches."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from comparisons.difference import Difference, Pair
from comparisons.layout import Arrays
from comparisons.testing.agreement import Value
from comparisons.testing.sides import Side

LARGEST = 1e-5  # of leaf scale: what is further apart than this is not called rounding
REACH = 4  # times the largest movement that was seen in a few turns of the last bit
TURNS = 4


class Rounding(NamedTuple):
    """What rounding alone explains: pairs, each with how far the last bit moves it, and losses."""

    pairs: tuple[tuple[Pair, float], ...]
    values: tuple[Value, ...]

    def __str__(self) -> str:
        lines = [
            f"d {pair.loss} / d {pair.parameter} is ill-conditioned: the last bit of what goes in moves it by "
            f"{moved:.1e} of leaf scale, and the sides are {pair.relative_error:.1e} apart: rounding explains it"
            for pair, moved in self.pairs[:3]
        ]
        if len(self.pairs) > 3:
            lines.append(f"and so are {len(self.pairs) - 3} more pairs")
        lines += [f"loss {value.loss!r} is ill-conditioned too" for value in self.values[:3]]
        if lines:
            worst = max(
                [pair.relative_error for pair, _ in self.pairs] + [value.relative_error for value in self.values]
            )
            lines.append(
                f"-> centre or scale what goes in, or pass tolerance={_above(worst):.0e}: no bug shows in these"
            )
        return "\n".join(lines)


def rounding(found: Difference, wrong: list[Value], params: Arrays, sides: Mapping[str, Side]) -> Rounding:
    """The pairs and values that differ by no more than a turned last bit of parameters and batch moves them."""
    near = [pair for pair in found.unequal if pair.relative_error < LARGEST]
    if not near and not any(value.relative_error < LARGEST for value in wrong):
        return Rounding((), ())
    rng = np.random.default_rng(19)
    points = [_turned(params, rng) for _ in range(TURNS)]
    runs = {}
    for name, side in sides.items():
        batch = side.options["batch"]
        turned = side._replace(options=side.options | {"batch": batch and _turned(batch, np.random.default_rng(20))})
        runs[name] = side.gradients([params]) + turned.gradients(points)
    pairs = []
    for pair in near:
        moved = max(_moved([grads[pair.loss][pair.parameter] for _, grads in run]) for run in runs.values())
        if pair.error <= REACH * moved:
            pairs.append((pair, moved / pair.scale))
    values = []
    for value in wrong:
        seen = [[at[value.loss] for at, _ in run] for run in runs.values()]
        if abs(value.jax - value.torch) <= REACH * max(max(abs(v - own[0]) for v in own) for own in seen):
            values.append(value)
    return Rounding(tuple(pairs), tuple(values))


def _turned(arrays: Mapping[str, np.ndarray], rng: np.random.Generator) -> Arrays:
    eps = float(np.finfo(float).eps)
    return {
        name: a * (1 + eps * rng.choice([-1.0, 1.0], a.shape)) if a.dtype.kind in "fc" else a
        for name, a in arrays.items()
    }


def _moved(arrays: list[np.ndarray | None]) -> float:
    first, *others = arrays
    return max((float(abs(a - first).max(initial=0)) for a in others if a is not None and first is not None), default=0)


def _above(error: float) -> float:
    return float(10 ** np.ceil(np.log10(2 * error)))
