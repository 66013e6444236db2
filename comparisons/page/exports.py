"""The report as text: a summary for a pull request, and every table as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from comparisons.page.read import Run
from comparisons.page.sections import environment
from comparisons.rows import Table

PARTS = {
    "gradients": "gradients --full",
    "memory": "memory",
    "cost": "cost",
    "higher_order": "higher_order",
    "lesson": "lesson",
    "pitfalls": "pitfalls",
    "angles": "angles",
}


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
    """A summary: what holds, every table folded, and what was not measured."""
    lines = ["# gradparity"]
    for run in runs:
        rows = [row for found in run.rows.values() for row in found]
        wrong = [row for row in rows if row["status"] in ("differs", "failed")]
        verdict = f"**{len(wrong)} of {len(rows)} rows do not hold**" if wrong else f"all {len(rows)} rows hold"
        lines += ["", f"## {run.label}", "", f"{verdict} ({', '.join(run.files)})"]
        lines += ["", *(f"- `{row['id']}`: {row.get('reason', row['status'])}" for row in wrong[:20])]
        for question, found in tables(run).items():
            for table in found:
                title = table.title.replace("<", "&lt;")
                lines += [
                    "",
                    f"<details><summary>{question}: {title}</summary>",
                    "",
                    table.markdown(),
                    "",
                    "</details>",
                ]
        missing = [
            f"{name} (`python -m comparisons {command}`)" for name, command in PARTS.items() if not run.rows.get(name)
        ]
        lines += ["", f"Not measured: {', '.join(missing)}."] if missing else []
    lines += ["", f"To see it: `python -m comparisons report FILE...`; all of it again: `{environment.COMMAND}`.", ""]
    return "\n".join(lines)


def write_csv(runs: Sequence[Run], folder: Path) -> list[Path]:
    """One file for the rows of each question, all runs together, and one for each table; gives their paths."""
    written = []
    questions = dict.fromkeys(question for run in runs for question in run.rows)
    for question in questions:
        rows = [{"run": run.label} | row for run in runs for row in run.rows.get(question, [])]
        fields = list(dict.fromkeys(name for row in rows for name in row))
        written.append(_write(folder / f"{question}.csv", fields, [[row.get(name) for name in fields] for row in rows]))
    for number, run in enumerate(runs, start=1):
        for question, found in tables(run).items():
            for k, table in enumerate(found, start=1):
                name = f"{question}-table{k}" + (f"-run{number}" if len(runs) > 1 else "")
                written.append(_write(folder / f"{name}.csv", table.header, table.lines))
    return written


def _write(path: Path, header: Sequence[str], lines: Sequence[Sequence]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return path
