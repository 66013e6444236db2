"""The report: results in, one self-contained HTML page out. No framework is imported, nothing is fetched."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

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

__all__ = ["Run", "html", "picture", "read"]

SECTIONS = (contrast, grid, strip, memory, cost, higher_order, graphs, claims, angles, environment)


def html(runs: Sequence[Run]) -> str:
    """The page, of one run or of several side by side."""
    templates = _templates()
    sections = [_section(templates, section, runs) for section in SECTIONS]
    return templates.get_template("page.html").render(sections=sections, runs=runs, counts=_counts(runs))


def picture(run: Run, strategy: str) -> str:
    """One strategy's lifetime strip as an SVG file, on a scale of its own."""
    found = strip.context(run)
    (chosen,) = (each for each in found["strips"] if each["strategy"] == strategy)
    return _templates().get_template("strip.svg").render(strip=chosen)


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("comparisons.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"prose": figures.prose, "lines": lambda words, wide: wrap(words.replace("`", ""), wide)}
    return templates


def _section(templates: Environment, section: Any, runs: Sequence[Run]) -> dict[str, Any]:
    """One section, a part for each run."""
    name = section.__name__.rpartition(".")[2]
    template = templates.get_template(f"{name}.html")
    parts = [_part(template, section, run, first=run is runs[0]) for run in runs]
    return {"name": name, "title": section.TITLE, "see": section.SEE, "command": section.COMMAND, "parts": parts}


def _part(template: Template, section: Any, run: Run, first: bool) -> dict[str, Any]:
    """A run's part of a section. Rows of another version may lack what its picture needs: then they are only listed."""
    rows = section.rows(run)
    part = {"run": run, "count": len(rows), "wrong": len(wrong(rows)), "drawn": "", "told": ""}
    try:
        part["groups"] = listing(run, rows, section.group)
        if rows or section is environment:
            part["drawn"] = Markup(template.render(d={"run": run, "first": first, **section.context(run)}))
    except Exception as error:
        part["groups"] = listing(run, rows, lambda row: section.TITLE)
        part["told"] = f"{type(error).__name__}: {error}"
    return part


def _counts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """How many rows each run has, and how many do not hold."""
    found = []
    for run in runs:
        rows = [row for members in run.rows.values() for row in members]
        found.append({"rows": len(rows), "wrong": wrong(rows)})
    return found
