"""Two pieces of code that do the same."""

from typing import Any

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from comparisons.page.read import Run
from comparisons.rows import Row

TITLE = "The contrast"
SEE = "The graph that PyTorch retains is the pullback that JAX pulls twice, and both print the same two gradients."
COMMAND = "python -m comparisons contrast"


def rows(run: Run) -> list[Row]:
    return run.rows.get("contrast", [])


def group(row: Row) -> str:
    return "the contrast"


def context(run: Run) -> dict[str, Any]:
    found = rows(run)
    blocks = [row | {"html": coloured(row["code"])} for row in found if row["kind"] == "block"]
    printed = {row.get("printed") for row in blocks}
    sources = [row | {"html": coloured(row["code"])} for row in found if row["kind"] == "strategy"]
    return {"blocks": blocks, "equal": len(blocks) == 2 and len(printed) == 1, "sources": sources}


def coloured(code: str) -> Markup:
    """The code with a span for each token."""
    return Markup(highlight(code, PythonLexer(), HtmlFormatter(nowrap=True)))
