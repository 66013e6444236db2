"""The two losses that the strip is taken of, and what is noted of a tensor."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from comparisons.problems import Problem, many_heads

SIZES = {"batch": 8, "width": 8, "depth": 2, "losses": 2, "hidden": 4}
NAMES = {"loss0": "A", "loss1": "B"}
Frames = list[tuple[str, set]]  # a moment, and the keys of the tensors alive at it


class Tensor(NamedTuple):
    """One array that is held for backward. Its `owner` is the loss whose forward alone saved it, or `shared`."""

    owner: str
    op: str
    shape: tuple[int, ...]
    bytes: int


@cache
def problem() -> Problem:
    """Two tanh layers, and two heads with a hidden one."""
    return many_heads(**SIZES)


def around(losses: Any, wrap: Callable[[str, Callable], Callable]):
    """The same losses, the trunk and each head wrapped under its owner's name."""
    heads = {name: wrap(NAMES[name], head) for name, head in losses.heads.items()}
    return replace(losses, trunk=wrap("shared", losses.trunk), heads=heads)
