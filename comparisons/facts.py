"""Facts: statements that a check has tried, each with what it saw; as text, one line each."""

from collections.abc import Iterable
from typing import NamedTuple


class Fact(NamedTuple):
    """`says` was tried, `holds` is the outcome, `seen` the measured evidence (or, for a cited one, its source)."""

    says: str
    holds: bool
    seen: str

    def __str__(self) -> str:
        return f"{'yes' if self.holds else 'no'}: {self.says} -> {self.seen}"


def text(facts: Iterable[Fact]) -> str:
    return "\n".join(map(str, facts))


def entries(lines: str) -> list[tuple[bool, str, str]]:
    """The text's lines apart again: whether it held, what was tried, what was seen."""
    found = []
    for line in lines.splitlines():
        outcome, _, rest = line.partition(": ")
        says, _, seen = rest.partition(" -> ")
        found.append((outcome == "yes", says, seen))
    return found


def verdict(cases: Iterable[Fact]) -> str:
    """A claim that holds in all, some or none of its cases is true, partly true or false."""
    held = {case.holds for case in cases}
    if not held:
        raise ValueError("a claim needs at least one case: none was tried")
    return "partly" if len(held) == 2 else "true" if held.pop() else "false"
