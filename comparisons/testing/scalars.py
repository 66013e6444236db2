"""What a reader's losses must give: a mapping of finite real scalars, in the precision that was asked for."""

import math
from collections.abc import Callable, Mapping

from comparisons.usage import BadInput


def checked(found, side: str, dtype: str, kind: Callable) -> None:
    """`kind(value)` is a loss's (shape, dtype)."""
    if not isinstance(found, Mapping):
        raise BadInput(f"{side}: the losses must come as a mapping {{name: scalar}}, got {type(found).__name__}")
    if not found:
        raise BadInput(f"{side}: the mapping of losses is empty, so there is nothing to compare")
    for name, value in found.items():
        if not hasattr(value, "dtype"):
            raise BadInput(f"{side}: loss {name!r} is a {type(value).__name__}, not an array: was it taken by .item()?")
        shape, given = kind(value)
        if shape != ():
            raise BadInput(f"{side}: loss {name!r} has shape {list(shape)}; a loss is a scalar: take its mean or sum")
        if given != dtype:
            why = "a float32 batch, a cast, or x64 off" if dtype == "float64" else "a float64 constant"
            raise BadInput(f"{side}: loss {name!r} is {given} where {dtype} was promised: {why} inside the function?")


def finite(values: Mapping[str, Mapping[str, float]]) -> None:
    """Every loss on every side is finite, or the error says on which side it is not."""
    for name in next(iter(values.values())):
        if not all(math.isfinite(own[name]) for own in values.values()):
            sides = " and ".join(f"{own[name]:.6g} in {side}" for side, own in values.items())
            raise BadInput(f"loss {name!r} is {sides}: nothing can be compared where a loss is not finite")
