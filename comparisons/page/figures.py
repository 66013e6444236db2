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


def written(value: Any, style: str = "plain") -> str:
    """A number in one of the page's styles; what is not there is a dash."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return STYLES[style](value)


def figure(run: Run, row: Row, field: str, style: str = "plain") -> Markup:
    """A number that links to its row."""
    return Markup('<a class="n" href="#{}" data-row="{}" data-field="{}">{}</a>').format(
        run.anchor(row), run.anchor(row), field, written(row.get(field), style)
    )


def plain(run: Run, row: Row, field: str, style: str = "plain") -> Markup:
    """The same without the link, for a place that is one already."""
    return Markup('<span class="n" data-row="{}" data-field="{}">{}</span>').format(
        run.anchor(row), field, written(row.get(field), style)
    )


def prose(text: str) -> Markup:
    """A row's words: what stands between backquotes is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def cell(value: Any, field: str = "") -> str:
    """A field of a row as the row's own table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
