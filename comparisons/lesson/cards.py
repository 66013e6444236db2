"""The claims as a reader sees them: one card each, and a table of verdicts."""

from collections import Counter
from collections.abc import Iterable
from textwrap import shorten

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from comparisons.facts import entries
from comparisons.rows import Row, Table

COLOUR = {"true": "green", "partly": "yellow", "false": "red", None: "magenta"}


def cards(rows: Iterable[Row]) -> list[RenderableType]:
    """One panel a claim: in which cases it holds, what else PyTorch does, and what holds in JAX."""
    return [_card(row) for row in rows]


def _card(row: Row) -> Panel:
    body = Grid.grid(padding=(0, 1))
    body.add_column(justify="right", style="dim", no_wrap=True)
    body.add_column(no_wrap=True)
    body.add_column(ratio=1)
    for label, key in (("tried", "evidence"), ("also", "also"), ("in JAX", "jax")):
        add_facts(body, label, row[key])
    if row["status"] != "ok":
        body.add_row(row["status"], "!", Text(row["reason"], style="bold red"))
    colour = COLOUR[row["verdict"]]
    title = Text.assemble((f" {row['claim']} ", "bold"), (row["says"], "bold"))
    outer = Grid.grid(expand=True)
    outer.add_row(title)
    outer.add_row(body)
    stamp = Text(f" {(row['verdict'] or row['status']).upper()} ", style=f"bold {colour}")
    return Panel(outer, title=stamp, title_align="right", border_style=colour)


def add_facts(body: Grid, label: str, lines: str) -> None:
    """One line a fact: a mark, what was tried, and what was seen."""
    for k, (holds, says, seen) in enumerate(entries(lines)):
        mark = Text("✓", style="green") if holds else Text("✗", style="red")
        body.add_row("" if k else label, mark, Text.assemble(says, ": ", (seen, "cyan")))


def tables(rows: list[Row]) -> list[Table]:
    """The verdicts, one line a claim."""
    if not rows:
        return []
    counts = Counter(row["verdict"] for row in rows if row["verdict"])
    title = f"the lesson's claims, tried: {', '.join(f'{counts[verdict]} {verdict}' for verdict in COLOUR if verdict)}"
    lines = [[f"{row['claim']:2} {shorten(row['says'], 64, placeholder=' ...')}", _stamp(row)] for row in rows]
    return [Table(title, ["claim", "verdict"], lines)]


def _stamp(row: Row) -> str:
    if row["status"] == "failed":
        return "FAILED"
    return row["verdict"] if row["status"] == "ok" else f"DIFFERS {row['verdict']}"
