"""One loss's gradient with respect to one parameter, on both sides."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from comparisons.hints import Leaf, hint
from comparisons.usage import BadInput

FLOOR = 1e-3
ZERO = 4096  # eps of a loss's largest gradient: what a sum that cancels to a true zero leaves on a CPU, and more


class Pair(NamedTuple):
    """What was found in one array.

    `scale` is the leaf scale: the largest magnitude in the expected array, floored at 1e-3 of the largest in that
    loss's whole gradient; that largest itself where both sides are a true zero's rounding (`leaf_scale`). `error` and
    `relative_error = error / scale` are infinite where a side is not finite. `dtype` is the less precise of the two.
    `where` has, for each axis, the indices at which an element is outside; `factor` the median, least and largest
    actual / expected of the elements that are not near zero.
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


def leaf_scale(actual: np.ndarray, expected: np.ndarray, most: float, tolerance: float, dtype: str) -> float:
    """In what unit a leaf's error counts; `most` is the largest magnitude in the loss's whole gradient.

    A bias before a normalization, or attention's key bias, has a true gradient of zero: each side holds what its own
    order of summation leaves, which no floor separates from a gradient. Where neither side exceeds the tolerance (or
    4096 eps, where that is less) of `most`, the leaf is such a zero, and `most` is its scale. A leaf above that keeps
    its own.
    """
    zero = min(tolerance, ZERO * float(np.finfo(dtype).eps)) * most if np.isfinite(tolerance) else -1.0
    if np.isfinite(actual).all() and max(largest(actual), largest(expected)) <= zero:
        return most
    return max(largest(expected), FLOOR * most)


def compared_leaf(
    loss: str,
    parameter: str,
    actual: Mapping,
    expected: Mapping,
    most: float,
    tolerance: float,
    names: tuple[str, str],
    unused: str,
) -> Pair:
    """The pair `loss`, `parameter` of two sets of gradients."""
    given = (actual[loss][parameter], expected[loss][parameter])
    missing = [name for name, array in zip(names, given, strict=True) if array is None]
    if missing and unused == "error":
        raise BadInput(f"d {loss} / d {parameter} is None in {' and '.join(missing)}, and `unused` is 'error'")
    shape = next((np.shape(array) for array in given if array is not None), ())
    kinds = [None if array is None else np.iscomplexobj(array) for array in given]
    a, e = (np.zeros(shape) if array is None else np.asarray(array) for array in given)
    if a.shape != e.shape:
        shapes = f"{list(a.shape)} in {names[0]} and {list(e.shape)} in {names[1]}"
        raise BadInput(f"d {loss} / d {parameter} has shape {shapes}: bring both to one layout")
    if None not in kinds and len(set(kinds)) > 1:
        types = " and ".join(
            f"{'complex' if kind else 'real'} in {name}" for kind, name in zip(kinds, names, strict=True)
        )
        raise BadInput(f"d {loss} / d {parameter} is {types}: the gradient of one parameter is one or the other")
    dtype = _less_precise(array.dtype for array in given if array is not None)
    a, e = (array.astype(complex if np.iscomplexobj(array) else float) for array in (a, e))
    scale = leaf_scale(a, e, most, tolerance, dtype)
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
    outside = errors > tolerance * scale
    return Pair(
        loss=loss,
        parameter=parameter,
        shape=shape,
        error=error,
        scale=scale,
        relative_error=relative,
        tolerance=tolerance,
        outside=int(outside.sum()),
        worst=worst,
        actual=values[0],
        expected=values[1],
        unused=" and ".join(missing) or None,
        hint=None if relative <= tolerance else hint(Leaf(a, e, errors, tolerance * scale, missing, others, names)),
        dtype=dtype,
        where=tuple(tuple(map(int, np.unique(rows))) for rows in np.nonzero(outside)) if shape else (),
        factor=_factor(a, e, scale),
    )


def largest(array: np.ndarray | None) -> float:
    """The largest finite magnitude; 0 where there is none."""
    magnitude = np.abs(np.zeros(0) if array is None else np.asarray(array))
    return float(magnitude.max(initial=0.0, where=np.isfinite(magnitude)))


def _factor(a: np.ndarray, e: np.ndarray, scale: float) -> tuple[float, float, float] | None:
    sure = (abs(e) > 1e-3 * scale) & np.isfinite(a) & np.isfinite(e)
    if np.iscomplexobj(a) or np.iscomplexobj(e) or not sure.any():
        return None
    ratio = a[sure] / e[sure]
    return float(np.median(ratio)), float(ratio.min()), float(ratio.max())


def _less_precise(dtypes: Iterable[np.dtype]) -> str:
    real = [np.zeros((), dtype).real.dtype for dtype in dtypes if np.issubdtype(dtype, np.inexact)]
    return min(real, key=lambda dtype: dtype.itemsize).name if real else "float64"
