"""Given gradients of two frameworks: equal, or an error that says where they are not."""

from collections.abc import Mapping
from numbers import Real

import numpy as np

from comparisons.difference import TOLERANCE, Difference, difference
from comparisons.layout import Layout, checked, compared, from_flax
from comparisons.testing.arrays import flat
from comparisons.usage import BadInput

SINGLE_TOLERANCE = 64 * float(np.finfo(np.float32).eps)


class GradientMismatch(AssertionError):
    """Gradients differ; `difference` holds every pair, worst first.

    Where two functions were compared, `values` has each loss on both sides, and `slopes` what each side's own finite
    differences say.
    """

    def __init__(self, found: Difference, verdict: str = "", values: tuple = (), slopes: tuple = ()):
        super().__init__("\n".join(filter(None, (verdict, str(found)))))
        self.difference, self.values, self.slopes = found, values, slopes


def assert_gradients_match(
    actual: Mapping,
    expected: Mapping,
    *,
    layout: Layout | None = None,
    order: int = 1,
    tolerance: float | None = None,
    unused: str = "zeros",
    names: tuple[str, str] | None = None,
) -> Difference:
    """Two mappings loss -> parameter -> array are equal within `tolerance` of leaf scale, or GradientMismatch.

    The arrays may be torch tensors, JAX arrays or NumPy's, nested or in an nnx.State. `layout` says how `actual`, in
    Flax's names and layouts, comes back to PyTorch's. `order=2` says that they are Hessian-vector products. None
    counts as zeros; `unused="none"` holds it apart, `unused="error"` refuses it. The tolerance is 1e-12 for float64 and
    64 float32 eps for float32 (half precision is read as float32, and needs a tolerance of its own); to compare float32
    with float64, give one. NaN and infinity differ from everything, themselves included. `names` default to "jax" and
    "torch" where the arrays are theirs, or a layout says so. Returns the difference that was found to be small enough.
    """
    names = names or _names(actual, expected, layout)
    if isinstance(names, str) or len(names) != 2:
        raise BadInput(f"`names` must be two, of actual and of expected, such as ('jax', 'torch') (got {names!r})")
    actual, expected = _by_loss(actual, names[0]), _by_loss(expected, names[1])
    if layout is not None:
        _given(actual, names[0])
        actual = {loss: from_flax(grads, checked(layout)) for loss, grads in actual.items()}
        expected = {loss: compared(grads, layout) for loss, grads in expected.items()}
    tolerance = _tolerance(tolerance, actual, expected, names)
    found = difference(actual, expected, tolerance, names, unused, order)
    if found.unequal:
        raise GradientMismatch(found)
    return found


def _names(actual, expected, layout) -> tuple[str, str]:
    """Each side's framework where its arrays tell and the two differ; else its role."""
    if layout is not None:
        return "jax", "torch"
    found = tuple(_framework(side) for side in (actual, expected))
    return found if None not in found and found[0] != found[1] else ("actual", "expected")  # type: ignore[return-value]


def _framework(tree) -> str | None:
    while isinstance(tree, Mapping) and tree:
        tree = next(iter(tree.values()))
    package = type(tree).__module__.partition(".")[0]
    return {"torch": "torch", "jax": "jax", "jaxlib": "jax", "flax": "jax"}.get(package)


def _by_loss(grads: Mapping, side: str) -> dict[str, dict]:
    if not isinstance(grads, Mapping):
        raise BadInput(f"{side}: expected a mapping {{loss: {{parameter: array}}}}, got {type(grads).__name__}")
    found = {}
    for loss, tree in grads.items():
        try:
            found[loss] = flat(tree)
        except BadInput as error:
            raise BadInput(f"{side}, loss {loss!r}: {error}") from None
        if not found[loss]:
            raise BadInput(f"{side}: the gradient of loss {loss!r} has no parameter")
    return found


def _given(grads: Mapping, side: str) -> None:
    """None has no shape that a layout could map."""
    lone = [f"d {loss} / d {name}" for loss, own in grads.items() for name, array in own.items() if array is None]
    if lone:
        raise BadInput(f"{side}: {lone[0]} is None, which no layout can map: pass zeros")


def _tolerance(given: float | None, actual: Mapping, expected: Mapping, names: tuple[str, str]) -> float:
    """The tolerance that the arrays can be held to."""
    if given is not None and not (isinstance(given, Real) and given >= 0):
        raise BadInput(f"`tolerance` must be a number from 0 up, in units of leaf scale (got {given!r})")
    single = [_is_single(grads, side) for grads, side in zip((actual, expected), names, strict=True)]
    if given is None:
        if {True, False} <= set(single):
            lone, other = names if single[0] else names[::-1]
            raise BadInput(f"{lone} is not in float64 and {other} is: was x64 off? If it is meant so, pass `tolerance`")
        return SINGLE_TOLERANCE if True in single else TOLERANCE
    if True in single and given < float(np.finfo(np.float32).eps):
        lone = names[single.index(True)]
        raise BadInput(f"`tolerance` {given:g} needs float64, and {lone} is not: take both under x64")
    return given


def _is_single(grads: Mapping, side: str) -> bool | None:
    """Is this side float32? One such array among float64 ones is a mistake; None where the side has no array."""
    arrays = {f"d {loss} / d {name}": a for loss, g in grads.items() for name, a in g.items() if a is not None}
    single = [title for title, array in arrays.items() if array.dtype not in (np.float64, np.complex128)]
    if single and len(single) < len(arrays):
        raise BadInput(f"{side}: {single[0]} is not in float64 and others are: was x64 off, or a cast inside?")
    return bool(single) if arrays else None
