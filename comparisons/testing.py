"""An assertion for other people's tests: two frameworks' gradients are equal, or a message says where they are not."""

from collections.abc import Mapping

import numpy as np

from comparisons.difference import TOLERANCE, Difference, difference
from comparisons.layout import Layout, from_flax

SINGLE_TOLERANCE = 64 * float(np.finfo(np.float32).eps)


class GradientMismatch(AssertionError):
    """Gradients differ; `difference` holds every pair, worst first."""

    def __init__(self, found: Difference):
        super().__init__(str(found))
        self.difference = found


def assert_gradients_match(
    actual: Mapping,
    expected: Mapping,
    *,
    layout: Layout | None = None,
    tolerance: float | None = None,
    names: tuple[str, str] = ("actual", "expected"),
) -> None:
    """Two mappings loss -> parameter -> array are equal within `tolerance` of leaf scale, or GradientMismatch.

    The arrays may be torch tensors, JAX arrays or NumPy's; None counts as zeros. `layout` says how `actual`, in Flax's
    names and layouts, comes back to PyTorch's. The tolerance is 1e-12 where all arrays are float64, and 64 float32
    eps where one is less precise. NaN and infinity differ from everything, themselves included.
    """
    actual = {loss: _arrays(grads) for loss, grads in actual.items()}
    expected = {loss: _arrays(grads) for loss, grads in expected.items()}
    if layout is not None:
        actual = {loss: from_flax(grads, layout) for loss, grads in actual.items()}
    if tolerance is None:
        precise = all(_is_double(g) for side in (actual, expected) for grads in side.values() for g in grads.values())
        tolerance = TOLERANCE if precise else SINGLE_TOLERANCE
    found = difference(actual, expected, tolerance, names)
    if found.unequal:
        raise GradientMismatch(found)


def _arrays(grads: Mapping) -> dict:
    return {name: as_numpy(grad) for name, grad in grads.items()}


def as_numpy(array) -> np.ndarray | None:
    """A torch tensor (of any device and dtype), a JAX array or a NumPy array, as NumPy; None stays None."""
    if array is None:
        return None
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = array.float() if array.element_size() < 4 else array
    return np.asarray(array)


def _is_double(array: np.ndarray | None) -> bool:
    return array is None or array.dtype in (np.float64, np.complex128)
