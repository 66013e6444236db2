"""Saved tensors as rows, and the rows as a table to print."""

from typing import NamedTuple

LINES = 20


class Saved(NamedTuple):
    """One tensor that a node of the graph keeps for its backward; several may share one `storage` of `bytes`."""

    op: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    kind: str
    losses: tuple[str, ...]
    storage: int


class Listing(list[Saved]):
    """Saved tensors, the largest first. Printed, a storage is one line: the nodes that saved it, the losses."""

    def __str__(self) -> str:
        storages: dict[int, list[Saved]] = {}
        for row in self:
            storages.setdefault(row.storage, []).append(row)
        one = [rows[0] for rows in storages.values()]
        held = sum(row.bytes for row in one if row.kind == "activation")
        beside = sum(row.bytes for row in one) - held
        first = f"{held:,} B held for backward, beside {beside:,} B of parameters and inputs"
        lines = _aligned([_line(rows) for rows in storages.values()])
        more = [f"  ... and {len(lines) - LINES} smaller ones"] if len(lines) > LINES else []
        return "\n".join([first, *lines[:LINES], *more])


def _line(rows: list[Saved]) -> list[str]:
    ops = sorted({row.op for row in rows} - {""})
    losses = sorted({loss for row in rows for loss in row.losses})
    reached = ", ".join(losses) if len(losses) < 4 else f"{len(losses)} losses"
    row = rows[0]
    return [f"{row.bytes:,} B", f"{row.dtype}{list(row.shape)}", row.kind, ", ".join(ops), reached]


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [[line[0].rjust(widths[0]), *map(str.ljust, line[1:], widths[1:])] for line in lines]
    return [("  " + "  ".join(text)).rstrip() for text in texts]
