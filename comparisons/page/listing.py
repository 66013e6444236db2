"""Every row behind a section, in tables: a row is a line that its id links to."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from markupsafe import Markup, escape

from comparisons.page.figures import cell
from comparisons.page.read import Run, wrong
from comparisons.rows import Row

HIDDEN = {"id", "code"}  # the id is the line's anchor, the code stands in the section


class Group(NamedTuple):
    """Rows that belong together: what they have in common is said once, and the rest is a table."""

    anchor: str
    title: str
    common: Markup
    length: int
    wrong: int
    header: Markup
    body: Markup


def listing(run: Run, rows: Iterable[Row], title: Callable[[Row], str]) -> list[Group]:
    """The rows in groups of one title each, in order."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(title(row), []).append(row)
    return [_group(run, name, found) for name, found in grouped.items()]


def anchor(run: Run, title: str) -> str:
    """Where a group stands on the page."""
    return f"{run.key}rows-{'-'.join(title.replace(',', ' ').split())}"


def _group(run: Run, title: str, rows: list[Row]) -> Group:
    fields = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in HIDDEN]
    shared = {
        name: rows[0][name]
        for name in fields
        if len(rows) > 1 and name in rows[0] and all(row.get(name, rows) == rows[0][name] for row in rows)
    }
    told = [
        Markup("<span>{}: {}</span>").format(name, cell(value))
        for name, value in shared.items()
        if value not in (None, "")
    ]
    columns = [name for name in fields if name not in shared]
    head = Markup("").join(Markup("<th scope=col>{}").format(name) for name in columns)
    body = Markup("").join(_line(run, row, columns) for row in rows)
    return Group(anchor(run, title), title, Markup("; ").join(told), len(rows), len(wrong(rows)), head, body)


def _line(run: Run, row: Row, columns: list[str]) -> Markup:
    cells = "".join(f"<td>{escape(cell(row.get(name)))}" for name in columns)
    return Markup('<tr id="{}">').format(run.anchor(row)) + Markup(cells) + Markup("\n")
