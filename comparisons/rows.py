"""What every question deals in: units of work that give rows, and tables made of rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

Row = dict[str, Any]
LACKS = "does not support it because it has not been implemented yet"


class Unit(NamedTuple):
    """One piece of a run: `rows()` does the work; its failure is its own (a row with status `failed`).

    `seconds` is about what it takes, for the estimate of what is left. Nothing may run beside what is `timed`.
    """

    question: str
    group: str
    label: str
    rows: Callable[[], list[Row]]
    seconds: float = 1.0
    timed: bool = False


class Table(NamedTuple):
    """A title, a header and lines of text: the same for the terminal, Markdown and the README."""

    title: str
    header: list[str]
    lines: list[list[str]]

    def markdown(self) -> str:
        ruled = [self.header, ["---"] + ["---:"] * (len(self.header) - 1), *self.lines]
        return "\n".join("| " + " | ".join(line) + " |" for line in ruled)


def failed(row: Row, error: Exception) -> Row:
    """`row` with what went wrong as its status and reason."""
    return row | {"status": "failed", "reason": f"{type(error).__name__}: {error}".splitlines()[0]}


def lacking(row: Row, error: Exception) -> Row:
    """`failed`, or `unsupported` where PyTorch says that one of its operators has no forward mode."""
    row = failed(row, error)
    return row | {"status": "unsupported"} if LACKS in row["reason"] else row
