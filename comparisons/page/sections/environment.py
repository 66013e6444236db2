"""Where the numbers come from, how to get them again, how to cite them."""

from typing import Any

from comparisons.page.read import Run
from comparisons.page.schema import FIELDS
from comparisons.rows import Row
from comparisons.source import ROOT

TITLE = "Environment, and how to cite"
SEE = "What these rows were measured on and with; each can be cited by its id, which leads to its line on this page."
COMMAND = "make report"
SHOWN = ("contrast", "gradients", "memory", "cost", "higher_order", "graphs", "lesson", "pitfalls", "angles")


def rows(run: Run) -> list[Row]:
    """The rows that no other section shows."""
    return [row for question, found in run.rows.items() if question not in SHOWN for row in found]


def group(row: Row) -> str:
    return f"also measured, {row['id'].partition('/')[0]}"


def context(run: Run) -> dict[str, Any]:
    citation = ROOT / "CITATION.cff"
    return {
        "environments": list(zip(run.files, run.environments, strict=True)),
        "citation": citation.read_text() if citation.exists() else "",
        "fields": FIELDS,
    }
