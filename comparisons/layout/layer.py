"""What a row of a layout is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]
Map = Callable[[Arrays], Arrays]


class Layer(NamedTuple):
    """One layer type at one size: PyTorch's parameter shapes, the map to Flax's, and the map's adjoint.

    `flax` is the layer's name in Flax where it is another one. `absent` marks entries of PyTorch's leaves that Flax has
    no parameter for. `rule` and `says` name the map and state it.
    """

    shapes: dict[str, tuple[int, ...]]
    to_flax: Map
    adjoint: Map
    rule: str = ""
    says: str = ""
    flax: str | None = None
    absent: dict[str, Any] = {}  # noqa: RUF012


def ruled(rule: Callable, shapes: Mapping[str, tuple[int, ...]], to_flax: Map, adjoint: Map, **extra) -> Layer:
    """A layer whose rule is the function that makes it, stated by its docstring's first line."""
    says = (rule.__doc__ or "").strip().splitlines()[0]
    return Layer(dict(shapes), to_flax, adjoint, rule.__name__, says, **extra)


def permuted(rule: Callable, shapes: Mapping[str, tuple[int, ...]], **leaves: tuple[str, tuple[int, ...]]) -> Layer:
    """A layer whose map renames and transposes: `weight=("kernel", (1, 0))`. Its adjoint is its inverse."""
    shapes = {leaf: shape for leaf, shape in shapes.items() if shape}

    def to_flax(own: Arrays) -> Arrays:
        return {leaves[leaf][0]: own[leaf].transpose(leaves[leaf][1]) for leaf in shapes}

    def adjoint(own: Arrays) -> Arrays:
        return {leaf: own[leaves[leaf][0]].transpose(np.argsort(leaves[leaf][1])) for leaf in shapes}

    return ruled(rule, shapes, to_flax, adjoint)
