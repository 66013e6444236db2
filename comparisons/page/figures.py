"""Numbers and names as the page writes them: each number carries the row and the field that it came from."""

import math
import re
from typing import Any

from markupsafe import Markup, escape

from comparisons.page.read import Run
from comparisons.rows import Row

STYLES = {
    "bytes": lambda value: f"{value:,} B",
    "int": lambda value: f"{value:,}",
    "error": lambda value: f"{value:.1e}" if value else "0",
    "ratio": lambda value: f"{value:.2f}",
    "one": lambda value: f"{value:.1f}",
    "signed": lambda value: f"{value:+.2f}",
    "plain": lambda value: f"{value:.3g}" if isinstance(value, float) else f"{value:,}",
}


def value_of(row: Row, field: str) -> Any:
    """A field of a row; `spread.0` is the first of a list."""
    name, _, place = field.partition(".")
    found = row.get(name)
    return found[int(place)] if place and found else found


def written(value: Any, style: str = "plain") -> str:
    """A number in one of the page's styles; what is not there is a dash."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return STYLES[style](value)


def figure(run: Run, row: Row, field: str, style: str = "plain") -> Markup:
    """A number that links to its row."""
    return Markup('<a class="n" href="#{}" data-field="{}">{}</a>').format(
        run.anchor(row), field, written(value_of(row, field), style)
    )


def plain(run: Run, row: Row, field: str, style: str = "plain") -> Markup:
    """The same without the link, for a place that has one already, or that leads elsewhere."""
    return Markup('<span data-row="{}" data-field="{}">{}</span>').format(
        run.anchor(row), field, written(value_of(row, field), style)
    )


def prose(text: str) -> Markup:
    """A row's words: what stands between backquotes is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def cell(value: Any) -> str:
    """A field of a row as the row's own table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return "; ".join(map(cell, value))
    if isinstance(value, dict):
        return "; ".join(f"{name} = {cell(entry)}" for name, entry in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
