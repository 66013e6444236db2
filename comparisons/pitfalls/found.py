"""What a pitfall's check found."""

from typing import NamedTuple

from comparisons.facts import Fact
from comparisons.watch import Raised


class Found(NamedTuple):
    """The error, the state that the pitfall leaves behind, the remedy at work, and the other framework."""

    error: Raised
    left: list[Fact]
    fix: list[Fact]
    other: list[Fact]
