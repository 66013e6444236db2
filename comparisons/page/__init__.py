"""The report: results in, one self-contained HTML page out. No framework is imported, nothing is fetched."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from comparisons.page import figures
from comparisons.page.listing import listing
from comparisons.page.read import Run, read, wrong
from comparisons.page.sections import (
    angles,
    claims,
    contrast,
    cost,
    environment,
    graphs,
    grid,
    higher_order,
    memory,
    strip,
)

__all__ = ["Run", "html", "read"]

SECTIONS = (contrast, grid, strip, memory, cost, higher_order, graphs, claims, angles, environment)


def html(runs: Sequence[Run]) -> str:
    """The page, of one run or of several side by side."""
    templates = Environment(
        loader=PackageLoader("comparisons.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["prose"] = figures.prose
    sections = [_section(number, section, runs) for number, section in enumerate(SECTIONS, start=1)]
    return templates.get_template("page.html").render(sections=sections, runs=runs, counts=_counts(runs))


def _section(number: int, section: Any, runs: Sequence[Run]) -> dict[str, Any]:
    """One section, a part for each run; a part without rows says so, but for the environment, which is always there."""
    name = section.__name__.rpartition(".")[2]
    parts = []
    for run in runs:
        rows = section.rows(run)
        shown = bool(rows) or section is environment
        parts.append(
            {
                "run": run,
                "shown": shown,
                "figure": partial(figures.figure, run),
                "groups": listing(run, rows, section.group) if rows else [],
                "count": len(rows),
                "wrong": len(wrong(rows)),
                **(section.context(run) if shown else {}),
            }
        )
    return {
        "number": number,
        "name": name,
        "title": section.TITLE,
        "see": section.SEE,
        "command": section.COMMAND,
        "parts": parts,
    }


def _counts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """How many rows each run has, and how many do not hold."""
    found = []
    for run in runs:
        rows = [row for members in run.rows.values() for row in members]
        found.append({"rows": len(rows), "wrong": wrong(rows)})
    return found
