"""A reader's two functions behind one interface: whatever goes in and comes out is in PyTorch's names and layouts."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from comparisons.layout import Arrays, Layout, checked, compared, from_flax, to_flax
from comparisons.testing.arrays import as_numpy, flat
from comparisons.usage import BadInput

NAMES = ("jax", "torch")


class Side(NamedTuple):
    """One framework's function: `to` brings parameters into its layout, `back` its gradient to PyTorch's."""

    losses: Callable
    take: ModuleType
    options: dict[str, Any]
    to: Callable[[Arrays], Arrays]
    back: Callable[[Arrays], Arrays]

    def values(self, points: Sequence[Arrays]) -> list[dict[str, float]]:
        return self.take.values(self.losses, [self.to(p) for p in points], "float64", **self.options)

    def gradients(self, points: Sequence[Arrays], dtype: str = "float64") -> list[tuple[dict, dict]]:
        """(values, gradients) at each point."""
        found = self.take.each_gradient(self.losses, [self.to(p) for p in points], dtype, **self.options)
        return [(values, self.mapped(grads)) for values, grads in found]

    def products(self, params: Arrays, along: Arrays) -> dict:
        return self.mapped(self.take.products(self.losses, self.to(params), self.to(along), **self.options))

    def mapped(self, grads: Mapping) -> dict:
        return {loss: self.back(grad) for loss, grad in grads.items()}


def sides(
    torch_losses: Callable, jax_losses: Callable, given: Any, layout: Layout | None, batch: Mapping | None
) -> tuple[dict[str, Side], Arrays]:
    """Both sides by name, and the parameters in float64; `given` is {name: array} or what `port` returned."""
    from comparisons.testing import jax_side, torch_side

    module = build = None
    if batch is not None and not isinstance(batch, Mapping):
        raise BadInput(f"`batch` must be a mapping {{name: array}} (got a {type(batch).__name__})")
    if hasattr(given, "build") and hasattr(given, "module"):
        if layout is not None:
            raise BadInput("`layout` comes with what `port` returned: leave it out")
        module, build, layout, params = given.module, given.build, given.layout, given.params
    elif isinstance(given, Mapping):
        params = flat(given)
    else:
        raise BadInput(f"`torch_params` is a {type(given).__name__}: pass {{name: array}}, or what `port` returned")
    if not params:
        raise BadInput("`torch_params` is empty, so there is nothing to differentiate")
    for name, array in params.items():
        if array is None or not np.isfinite(array).all():
            raise BadInput(f"`torch_params` has {'None' if array is None else 'NaN or infinity'} in {name!r}")
    wide = {name: array.astype(complex if np.iscomplexobj(array) else float) for name, array in params.items()}
    batch = None if batch is None else {name: _array(name, value) for name, value in batch.items()}

    def same(arrays: Arrays) -> Arrays:
        return arrays

    there, back, kept = same, same, same
    if layout is not None:
        there, back, kept = (lambda arrays, f=f: f(arrays, checked(layout)) for f in (to_flax, from_flax, compared))
    here = Side(torch_losses, torch_side, {"batch": batch, "module": module}, same, kept)
    return {"jax": Side(jax_losses, jax_side, {"batch": batch, "build": build}, there, back), "torch": here}, wide


def _array(name: str, value: Any) -> np.ndarray:
    """One value of the batch: numbers, or truth values."""
    try:
        found = as_numpy(value)
    except Exception:  # whatever is said of what is no array
        found = None
    if found is None or found.dtype.kind not in "biufc":
        raise BadInput(f"`batch` has a {type(value).__name__} in {name!r}: give an array of numbers or truth values")
    return found
