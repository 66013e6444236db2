"""The report as text: a summary for a pull request, and every table as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from comparisons.page import SECTIONS
from comparisons.page.read import Run, wrong
from comparisons.page.sections import environment
from comparisons.rows import Table

COMMENT = 65_536  # characters that a comment on a pull request may have


def tables(run: Run) -> dict[str, list[Table]]:
    """The tables that the commands print, by question; rows of another version may lack what a table needs."""
    from comparisons.job import TABLES

    found = {}
    for question, rows in run.rows.items():
        try:
            found[question] = TABLES[question](rows) if question in TABLES and rows else []
        except Exception as error:
            told = f"no table can be made of these rows ({type(error).__name__}: {error})"
            found[question] = [Table(told, ["rows"], [[str(len(rows))]])]
    return found


def markdown(runs: Sequence[Run]) -> str:
    """A summary: what holds, the tables folded, and what was not measured.

    Where a comment's limit asks for it the longest tables are left out, but for each question's first.
    """
    lines = ["# gradparity"]
    for run in runs:
        rows = [row for found in run.rows.values() for row in found]
        bad = wrong(rows)
        verdict = f"**{len(bad)} of {len(rows)} rows do not hold**" if bad else f"all {len(rows)} rows hold"
        lines += ["", f"## {run.label}", "", f"{verdict} ({', '.join(run.files)})"]
        lines += ["", *(f"- `{row['id']}`: {row.get('reason', row['status'])}" for row in bad[:20])]
        folded = [(k > 0, _folded(name, table)) for name, found in tables(run).items() for k, table in enumerate(found)]
        kept = list(folded)
        while sum(len(text) for _, text in kept) > 0.9 * COMMENT / len(runs):
            kept.remove(max(kept, key=lambda pair: (pair[0], len(pair[1]))))
        lines += [text for _, text in kept]
        if len(kept) < len(folded):
            lines += ["", f"{len(folded) - len(kept)} long tables are left out here; the page and the CSV have them."]
        absent = [part for part in SECTIONS if part is not environment and not part.rows(run)]
        missing = [f"{part.TITLE} (`{part.COMMAND}`)" for part in absent]
        lines += ["", f"Not measured: {', '.join(missing)}."] if missing else []
    lines += [
        "",
        f"To see it: `python -m comparisons report FILE...`; to measure again: `{environment.COMMAND}`.",
        "",
    ]
    return "\n".join(lines)


def _folded(question: str, table: Table) -> str:
    title = table.title.replace("<", "&lt;")
    return f"\n<details><summary>{question}: {title}</summary>\n\n{table.markdown()}\n\n</details>"


def write_csv(runs: Sequence[Run], folder: Path) -> list[Path]:
    """One file for the rows of each question, all runs together, one for each table, and their index; gives paths."""
    written = []
    questions = dict.fromkeys(question for run in runs for question in run.rows)
    for question in questions:
        rows = [{"run": run.label} | row for run in runs for row in run.rows.get(question, [])]
        fields = list(dict.fromkeys(name for row in rows for name in row))
        written.append(_write(folder / f"{question}.csv", fields, [[row.get(name) for name in fields] for row in rows]))
    index = []
    for number, run in enumerate(runs, start=1):
        for question, found in tables(run).items():
            for k, table in enumerate(found, start=1):
                name = f"{question}-table{k}" + (f"-run{number}" if len(runs) > 1 else "")
                written.append(_write(folder / f"{name}.csv", table.header, table.lines))
                index.append([f"{name}.csv", run.label, table.title])
    return [*written, _write(folder / "tables.csv", ["file", "run", "title"], index)]


def _write(path: Path, header: Sequence[str], lines: Sequence[Sequence]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return path
