"""A run as a reader sees it: live progress, tables at the end, and everything measured kept whatever happens."""

import os
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import jax
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

from comparisons import (
    ahead,
    angles,
    contrast,
    cost,
    gradients,
    graphs,
    higher_order,
    interrupt,
    lesson,
    memory,
    pitfalls,
    results,
)
from comparisons.live import Live
from comparisons.mutants.tables import tables as mutant_tables
from comparisons.rows import Row, Table, Unit
from comparisons.usage import BadUsage

TABLES: dict[str, Callable[[list[Row]], list[Table]]] = {
    "angles": angles.tables,
    "contrast": contrast.tables,
    "cost": cost.tables,
    "gradients": gradients.tables,
    "graphs": graphs.tables,
    "higher_order": higher_order.tables,
    "lesson": lesson.tables,
    "memory": memory.tables,
    "mutants": mutant_tables,
    "pitfalls": pitfalls.tables,
}
SOON = 0.25  # what is done in terms of what is left, before it says how long that takes
WORDS = ("measured", "cause", "the form that works")  # columns of sentences, which wrap
CARDS: dict[str, Callable[[list[Row]], list[RenderableType]]] = {"lesson": lesson.cards, "pitfalls": pitfalls.cards}


def take(
    units: list[Unit], device: str, json: Path | None = None, page: Path | None = None, live: Live | None = None
) -> int:
    """Run the units, write what was asked for, print the tables; returns the exit status.

    With `live`, what is in its file counts as done, and every unit's rows are written as soon as it is.
    KeyboardInterrupt before the first unit's end: there is nothing to keep.
    """
    rows: dict[str, list[Row]] = {unit.question: [] for unit in units}
    units = live.begin(units, rows) if live else units
    done, stopped = 0, None
    try:
        interrupt.check()
        for done in _progress(units, rows):
            if live:
                live.keep(units[done - 1], rows)
            interrupt.check()
    except KeyboardInterrupt:
        if not done:
            raise
        stopped = "interrupted", 130
        interrupt.pressed.clear()
    except BrokenProcessPool:
        stopped = "a process died (of memory? take fewer --jobs)", 1
        if not done:
            raise BadUsage(f"{stopped[0]}: nothing was measured") from None
    finally:
        ahead.end()
    if json and not live:
        results.write(json, {"schema": results.SCHEMA, "environment": results.environment(device), **rows})
    if page and json:
        from comparisons.page import command, read

        command.write(page, read([json]))
    console = _Console()
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    for question, found in rows.items():
        for card in CARDS.get(question, lambda _: [])(found):
            console.print(card)
    tables = [table for question, found in rows.items() if found for table in TABLES[question](found)]
    for table in tables:
        console.print(f"\n{table.title}", markup=False, highlight=False)
        console.print(_rich(table))
    every = [row for found in rows.values() for row in found]
    wrong = sum(row["status"] in ("differs", "failed") for row in every)
    say(f"\n{wrong} of {len(every)} rows do not hold" if wrong else f"\nall {len(every)} rows hold")
    if json:
        say(f"written: {', '.join(str(path) for path in (json, page) if path)}")
    if stopped:
        cause, status = stopped
        say(f"{cause} after {done} of {len(units)}; what was measured is kept")
        return status
    return int(wrong > 0)


class _Console(Console):
    """A reader who has gone, such as `head`, changes nothing of what is kept and returned."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def _progress(units: list[Unit], rows: dict[str, list[Row]]):
    """Run each unit under a live bar, its rows into `rows`; yields how many are done. A log gets a line a group.

    JAX forgets a group's programs at its end: each is some ten memory maps, and Linux gives a process 65,530.
    """
    console = _Console(stderr=True)
    columns = (TextColumn("{task.description:<50}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(unit.seconds for unit in units))
        start = time.monotonic()
        for done, unit in enumerate(units, start=1):
            progress.update(task, description=f"{unit.label}  {done} of {len(units)}")
            found = unit.rows()
            rows[unit.question] += found
            for row in [row for row in found if row["status"] in ("differs", "failed")][:3]:
                console.print(
                    f"{row['status']}: {row['id']}: {row['reason']}", style="red", markup=False, soft_wrap=True
                )
            last = done == len(units) or units[done].group != unit.group
            if last:
                jax.clear_caches()
            if last and not console.is_terminal:
                spent, taken = time.monotonic() - start, sum(unit.seconds for unit in units[:done])
                left = sum(unit.seconds for unit in units[done:])
                told = f", about {spent / taken * left:.0f} s left" if taken > SOON * left else ""
                console.print(f"{unit.group}: {done} of {len(units)}{told}")
            progress.advance(task, unit.seconds)
            yield done


def _rich(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, collapse_padding=True)
    for k, name in enumerate(table.header):
        words = name in WORDS
        shown.add_column(name, justify="right" if k and not words else "left", no_wrap=not words)
    for line in table.lines:
        bad = any(word in text for text in line for word in ("DIFFERS", "FAILED"))
        shown.add_row(*map(Text, line), style="red" if bad else "")
    return shown
