"""Two sets of gradients -> what differs, where, by how much, and a hint at the cause."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

Gradients = Mapping[str, Mapping[str, np.ndarray | None]]

TOLERANCE = 1e-12
FLOOR = 1e-3


class Pair(NamedTuple):
    """One loss's gradient with respect to one parameter, on both sides.

    `scale` is the leaf scale: the largest magnitude in the expected array, floored at 1e-3 of the largest in that
    loss's whole gradient. `error` and `relative_error = error / scale` are infinite where a side is not finite.
    """

    loss: str
    parameter: str
    shape: tuple[int, ...]
    error: float
    scale: float
    relative_error: float
    tolerance: float
    outside: int
    worst: tuple[int, ...]
    actual: complex
    expected: complex
    unused: str | None
    hint: str | None

    @property
    def equal(self) -> bool:
        return self.relative_error <= self.tolerance


class Difference(NamedTuple):
    """Every (loss, parameter) pair, worst first; its text shows those that differ."""

    pairs: tuple[Pair, ...]
    names: tuple[str, str]

    @property
    def unequal(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if not pair.equal)

    def __str__(self) -> str:
        bad, sides = self.unequal, "actual={}, expected={}".format(*self.names)
        if not bad:
            return f"gradients agree in all {len(self.pairs)} (loss, parameter) pairs; {sides}"
        head = f"gradients differ in {len(bad)} of {len(self.pairs)} (loss, parameter) pairs; {sides}"
        more = [f"  and {len(bad) - 10} more pairs"] if len(bad) > 10 else []
        return "\n".join([head, *map(_describe, bad[:10]), *more])


def difference(
    actual: Gradients,
    expected: Gradients,
    tolerance: float = TOLERANCE,
    names: tuple[str, str] = ("actual", "expected"),
) -> Difference:
    """Compare pair by pair in units of leaf scale; a missing gradient (None) counts as zeros.

    Both map loss -> parameter -> array. ValueError where losses, parameters or shapes do not correspond.
    """
    _same_names("losses", actual, expected, names)
    pairs = []
    for loss, grads in expected.items():
        _same_names(f"parameters of loss {loss!r}", actual[loss], grads, names)
        floor = FLOOR * max(map(_largest, grads.values()))
        for parameter in grads:
            pairs.append(_pair(loss, parameter, actual, expected, floor, tolerance, names))
    return Difference(tuple(sorted(pairs, key=lambda pair: -pair.relative_error)), names)


def _pair(loss, parameter, actual: Gradients, expected: Gradients, floor, tolerance, names) -> Pair:
    given = (actual[loss][parameter], expected[loss][parameter])
    missing = [name for name, array in zip(names, given, strict=True) if array is None]
    shape = next((np.shape(array) for array in given if array is not None), ())
    a, e = (np.zeros(shape) if array is None else np.asarray(array) for array in given)
    if a.shape != e.shape:
        shapes = f"{list(a.shape)} in {names[0]} and {list(e.shape)} in {names[1]}"
        raise ValueError(f"d {loss} / d {parameter} has shape {shapes}: bring both to one layout")
    a, e = (array.astype(complex if np.iscomplexobj(array) else float) for array in (a, e))
    scale = max(_largest(e), floor)
    with np.errstate(invalid="ignore"):
        errors = np.where(np.isfinite(a) & np.isfinite(e), abs(a - e), np.inf)
    error = float(errors.max(initial=0.0))
    relative = error / scale if scale else np.inf if error else 0.0
    worst = tuple(map(int, np.unravel_index(errors.argmax(), shape))) if errors.size else ()
    values = (a[worst].item(), e[worst].item()) if errors.size else (0.0, 0.0)
    return Pair(
        loss=loss,
        parameter=parameter,
        shape=shape,
        error=error,
        scale=scale,
        relative_error=relative,
        tolerance=tolerance,
        outside=int((errors > tolerance * scale).sum()),
        worst=worst,
        actual=values[0],
        expected=values[1],
        unused=" and ".join(missing) or None,
        hint=None if relative <= tolerance else _hint(a, e, error, loss, parameter, expected, missing, names),
    )


def _hint(a, e, error: float, loss: str, parameter: str, expected: Gradients, missing, names) -> str | None:
    """The first cause that explains the difference to one part in a thousand, from the plainest on."""
    finite = {name: np.isfinite(x) for name, x in zip(names, (a, e), strict=True)}
    if not all(where.all() for where in finite.values()):
        counts = [f"{(~where).sum()} of {where.size} in {name}" for name, where in finite.items() if not where.all()]
        return f"NaN or infinite: {', '.join(counts)}"
    if missing:
        return f"missing (None) in {missing[0]}: is the parameter cut off by a detach, or not passed to the loss?"
    for name, x, other in ((names[0], a, e), (names[1], e, a)):
        if not x.any() and other.any():
            return f"zero in {name}: is the gradient stopped there, or the loss dropped?"

    unit = _largest(e)  # keeps the squares below from overflow and underflow
    a, e, error = a / unit, e / unit, error / unit

    def explains(x):
        return abs(a - x).max() <= 1e-3 * error

    factor = np.vdot(e, a) / np.vdot(e, e)
    if explains(factor * e):
        shortest = next(text for d in range(1, 18) if explains(complex(text := f"{factor:.{d}g}") * e))
        return f"actual = {shortest} x expected: a reduction (mean or sum), a loss weight, a sign?"
    if a.ndim == 2 and a.shape[0] == a.shape[1] and explains(e.T):
        return "actual is the transpose of expected: a square weight in the other layout?"
    for other, grads in expected.items():
        extra = np.zeros_like(e) if grads.get(parameter) is None else np.asarray(grads[parameter]) / unit
        if other == loss or extra.shape != e.shape or not extra.any():
            continue
        if explains(extra):
            return f"actual is the gradient of {other!r}: are two losses swapped?"
        weight = np.vdot(extra, a - e) / np.vdot(extra, extra)
        if explains(e + weight * extra):
            return f"actual = expected + {weight:.4g} x the gradient of {other!r}: does one loss run into another?"
    return None


def _largest(array: np.ndarray | None) -> float:
    """The largest finite magnitude; 0 where there is none."""
    magnitude = np.abs(np.zeros(0) if array is None else np.asarray(array))
    return float(magnitude.max(initial=0.0, where=np.isfinite(magnitude)))


def _same_names(what: str, actual: Mapping, expected: Mapping, names: tuple[str, str]) -> None:
    if not expected:
        raise ValueError(f"{what}: {names[1]} has none, so there is nothing to compare")
    lone = {names[0]: actual.keys() - expected.keys(), names[1]: expected.keys() - actual.keys()}
    if any(lone.values()):
        only = [f"only {name} has {', '.join(map(repr, sorted(found)))}" for name, found in lone.items() if found]
        raise ValueError(f"{what} must have the same names on both sides: {'; '.join(only)}")


def _describe(pair: Pair) -> str:
    allowed, size = f"allowed {pair.tolerance:.2e}", np.prod(pair.shape, dtype=int)
    lines = [
        f"  d {pair.loss} / d {pair.parameter}  {list(pair.shape)}  {pair.outside}/{size} outside",
        f"    worst {list(pair.worst)}: actual {pair.actual:.12e}, expected {pair.expected:.12e}",
        f"    error {pair.error:.2e} = {pair.relative_error:.2e} of leaf scale {pair.scale:.2e}; {allowed}",
    ]
    return "\n".join([*lines, *([f"    hint: {pair.hint}"] if pair.hint else [])])
