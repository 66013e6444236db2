"""Residuals as rows, and the rows as a table to print."""

from pathlib import Path
from typing import NamedTuple

LINES = 20


class Kept(NamedTuple):
    """One array that a pullback keeps; `op` and `line` say what made it, where `residuals` traced it."""

    op: str
    line: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    kind: str


class Listing(list[Kept]):
    """Residuals, the largest first. Printed, an array is one line: the primitive and the source line that made it."""

    def __str__(self) -> str:
        held = sum(row.bytes for row in self if row.kind == "activation")
        beside = sum(row.bytes for row in self) - held
        first = f"{held:,} B held for the pullback, beside {beside:,} B of parameters and inputs"
        lines = _aligned([_line(row) for row in self])
        more = [f"  ... and {len(lines) - LINES} smaller ones"] if len(lines) > LINES else []
        return "\n".join([first, *lines[:LINES], *more])


def _line(row: Kept) -> list[str]:
    return [f"{row.bytes:,} B", f"{row.dtype}{list(row.shape)}", row.kind, row.op, Path(row.line).name]


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [[line[0].rjust(widths[0]), *map(str.ljust, line[1:], widths[1:])] for line in lines]
    return [("  " + "  ".join(text)).rstrip() for text in texts]
