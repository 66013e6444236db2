"""Two sets of gradients -> what differs, where, by how much, and a hint at the cause."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from comparisons.hints import Leaf, hint
from comparisons.usage import BadInput

Gradients = Mapping[str, Mapping[str, np.ndarray | None]]

TOLERANCE = 1e-12
FLOOR = 1e-3
UNUSED = ("zeros", "none", "error")


class Pair(NamedTuple):
    """One loss's gradient with respect to one parameter, on both sides.

    `scale` is the leaf scale: the largest magnitude in the expected array, floored at 1e-3 of the largest in that
    loss's whole gradient. `error` and `relative_error = error / scale` are infinite where a side is not finite.
    `dtype` is the less precise of the two. `where` has, for each axis, the indices at which an element is outside;
    `factor` the median, least and largest actual / expected of the elements that are not near zero.
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
    dtype: str = "float64"
    where: tuple[tuple[int, ...], ...] = ()
    factor: tuple[float, float, float] | None = None

    @property
    def equal(self) -> bool:
        return self.relative_error <= self.tolerance

    @property
    def eps(self) -> float:
        """The relative error in units of the dtype's precision."""
        return self.relative_error / float(np.finfo(self.dtype).eps)


class Difference(NamedTuple):
    """Every (loss, parameter) pair, worst first; its text shows those that differ."""

    pairs: tuple[Pair, ...]
    names: tuple[str, str]
    order: int = 1

    @property
    def unequal(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if not pair.equal)

    def __str__(self) -> str:
        bad, sides = self.unequal, "actual={}, expected={}".format(*self.names)
        what = "gradients" if self.order == 1 else "Hessian-vector products"
        if not bad:
            return f"{what} agree in all {len(self.pairs)} (loss, parameter) pairs; {sides}"
        lines = [f"{what} differ in {len(bad)} of {len(self.pairs)} (loss, parameter) pairs; {sides}"]
        full, brief = (bad, ()) if len(bad) <= 10 else (bad[:4], bad[4:10])
        if brief:
            lines += self._summary(bad)
        lines += [_describe(pair, self.order) for pair in full] + [_line(pair, self.order) for pair in brief]
        return "\n".join(lines + ([f"  and {len(bad) - 10} more pairs"] if len(bad) > 10 else []))

    def _summary(self, bad: tuple[Pair, ...]) -> list[str]:
        total, wrong = (Counter(pair.loss for pair in pairs) for pairs in (self.pairs, bad))
        lines = ["  by loss: " + ", ".join(f"{loss} {wrong[loss]} of {total[loss]}" for loss in total)]
        common, count = Counter(pair.hint for pair in bad).most_common(1)[0]
        return lines + ([f"  hint for {count} of them: {common}"] if common and count > 1 else [])


def difference(
    actual: Gradients,
    expected: Gradients,
    tolerance: float = TOLERANCE,
    names: tuple[str, str] = ("actual", "expected"),
    unused: str = "zeros",
    order: int = 1,
) -> Difference:
    """Compare pair by pair in units of leaf scale.

    Both map loss -> parameter -> array. A missing gradient (None) counts as zeros; with `unused="none"` it differs from
    all but None, with `unused="error"` it is refused. `order` is 2 for Hessian-vector products: it names them so.
    ValueError where losses, parameters or shapes do not correspond.
    """
    if unused not in UNUSED:
        raise BadInput(f"`unused` must be one of {', '.join(UNUSED)} (got {unused!r})")
    if order not in (1, 2):
        raise BadInput(f"`order` must be 1 (gradients) or 2 (Hessian-vector products) (got {order!r})")
    same_names("losses", actual, expected, names)
    pairs = []
    for loss, grads in expected.items():
        same_names(f"parameters of loss {loss!r}", actual[loss], grads, names)
        floor = FLOOR * max(map(_largest, grads.values()))
        for parameter in grads:
            pairs.append(_pair(loss, parameter, actual, expected, floor, tolerance, names, unused))
    return Difference(tuple(sorted(pairs, key=lambda pair: -pair.relative_error)), names, order)


def _pair(loss, parameter, actual: Gradients, expected: Gradients, floor, tolerance, names, unused) -> Pair:
    given = (actual[loss][parameter], expected[loss][parameter])
    missing = [name for name, array in zip(names, given, strict=True) if array is None]
    if missing and unused == "error":
        raise BadInput(f"d {loss} / d {parameter} is None in {' and '.join(missing)}, and `unused` is 'error'")
    shape = next((np.shape(array) for array in given if array is not None), ())
    a, e = (np.zeros(shape) if array is None else np.asarray(array) for array in given)
    if a.shape != e.shape:
        shapes = f"{list(a.shape)} in {names[0]} and {list(e.shape)} in {names[1]}"
        raise BadInput(f"d {loss} / d {parameter} has shape {shapes}: bring both to one layout")
    dtype = _less_precise(array.dtype for array in given if array is not None)
    a, e = (array.astype(complex if np.iscomplexobj(array) else float) for array in (a, e))
    scale = max(_largest(e), floor)
    with np.errstate(invalid="ignore"):
        errors = np.where(np.isfinite(a) & np.isfinite(e), abs(a - e), np.inf)
    if unused == "none" and len(missing) == 1:
        errors = np.full(shape, np.inf)
    error = float(errors.max(initial=0.0))
    relative = error / scale if scale else np.inf if error else 0.0
    worst = tuple(map(int, np.unravel_index(errors.argmax(), shape))) if errors.size else ()
    values = (a[worst].item(), e[worst].item()) if errors.size else (0.0, 0.0)
    others = {
        other: np.asarray(grads[parameter])
        for other, grads in expected.items()
        if other != loss and grads.get(parameter) is not None
    }
    leaf = Leaf(a, e, errors, tolerance * scale, missing, others, names)
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
        hint=None if relative <= tolerance else hint(leaf),
        dtype=dtype,
        where=tuple(tuple(map(int, np.unique(rows))) for rows in np.nonzero(errors > tolerance * scale))
        if shape
        else (),
        factor=_factor(a, e, scale),
    )


def _factor(a: np.ndarray, e: np.ndarray, scale: float) -> tuple[float, float, float] | None:
    sure = (abs(e) > 1e-3 * scale) & np.isfinite(a) & np.isfinite(e)
    if np.iscomplexobj(a) or np.iscomplexobj(e) or not sure.any():
        return None
    ratio = a[sure] / e[sure]
    return float(np.median(ratio)), float(ratio.min()), float(ratio.max())


def same_names(what: str, actual: Iterable[str], expected: Iterable[str], names: tuple[str, str]) -> None:
    """Both have the same names, or an error that lists what only one side has, and the nearest on the other."""
    actual, expected = list(actual), list(expected)
    if not expected:
        raise BadInput(f"{what}: {names[1]} has none, so there is nothing to compare")
    only = []
    for name, own, other in ((names[0], actual, expected), (names[1], expected, actual)):
        lone = [key for key in own if key not in other]
        if lone:
            only.append(f"only {name} has {', '.join(_nearest(key, other) for key in sorted(lone, key=str))}")
    if only:
        raise BadInput(f"{what} must have the same names on both sides: {'; '.join(only)}")


def _nearest(name: str, others: list[str]) -> str:
    close = difflib.get_close_matches(str(name), list(map(str, others)), n=1)
    return f"{name!r} (nearest: {close[0]!r})" if close else repr(name)


def _less_precise(dtypes: Iterable[np.dtype]) -> str:
    real = [np.zeros((), dtype).real.dtype for dtype in dtypes if np.issubdtype(dtype, np.inexact)]
    return min(real, key=lambda dtype: dtype.itemsize).name if real else "float64"


def _largest(array: np.ndarray | None) -> float:
    """The largest finite magnitude; 0 where there is none."""
    magnitude = np.abs(np.zeros(0) if array is None else np.asarray(array))
    return float(magnitude.max(initial=0.0, where=np.isfinite(magnitude)))


def _title(pair: Pair, order: int) -> str:
    head = f"d {pair.loss} / d {pair.parameter}" if order == 1 else f"(H v) of {pair.loss} at {pair.parameter}"
    return f"{head}  {pair.dtype}{list(pair.shape)}"


def _describe(pair: Pair, order: int) -> str:
    eps = float(np.finfo(pair.dtype).eps)
    lines = [
        f"  {_title(pair, order)}  {pair.outside}/{np.prod(pair.shape, dtype=int)} outside",
        f"    worst {list(pair.worst)}: actual {pair.actual:.12e}, expected {pair.expected:.12e}",
        f"    error {pair.error:.2e} = {pair.relative_error:.2e} of leaf scale {pair.scale:.2e} = {pair.eps:.3g} eps; "
        f"allowed {pair.tolerance:.2e} = {pair.tolerance / eps:.3g} eps",
    ]
    return "\n".join([*lines, *([f"    hint: {pair.hint}"] if pair.hint else [])])


def _line(pair: Pair, order: int) -> str:
    return f"  {_title(pair, order)}  {pair.outside} outside, {pair.relative_error:.2e} of leaf scale"
