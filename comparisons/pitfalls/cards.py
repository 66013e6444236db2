"""The pitfalls as a reader sees them: a card each, then tables of peers, of second backwards, of unequal cells."""

from collections import defaultdict
from collections.abc import Iterable

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from comparisons.lesson.cards import add_facts
from comparisons.rows import Row, Table
from comparisons.scenarios import STRATEGIES

COLOUR = {"raises": "red", "silent": "magenta", "leaks": "yellow"}
OTHER = {"PyTorch": "in JAX", "JAX": "in PyTorch", "both": "also"}
LETTER = {"equal": "=", "different": "D", "poisoned": "P", "reference": "ref"}

SIDE = {"torch": "PyTorch", "jax": "JAX", "sides": "JAX against PyTorch"}
SHORT = {
    "per_loss_recomputed": "fresh",
    "per_loss_functional": "func",
    "summed_checkpointed": "rerun",
    "summed_split": "split",
    "accumulated": "accum",
    "directional": "along",
    "feature_gradients": "features",
}
COLUMNS = {
    "where one gradient a loss is not what it should be: = equal (to a gradient worked out by hand, or to the retained "
    "one: ref), D different, P poisoned (NaN where it should be finite), ! raises; a number: runs of the trunk": {
        SHORT.get(name, name.removeprefix("per_loss_")): name for name in STRATEGIES if name.startswith("per_loss_")
    },
    "where totals and projections are not what the gradients one by one imply": {
        SHORT.get(name, name): name for name in STRATEGIES if not name.startswith("per_loss_")
    },
}


def cards(rows: Iterable[Row]) -> list[RenderableType]:
    """One panel a pitfall: the message, where it is raised, what is left, the cause, the remedy at work.

    One more says why strategies are not equal.
    """
    rows = list(rows)
    unequal = [row for row in rows if row["kind"] == "unequal"]
    return [*(_card(row) for row in rows if row["kind"] == "card"), *([_reasons(unequal)] if unequal else [])]


def _card(row: Row) -> Panel:
    body = Grid.grid(padding=(0, 1))
    body.add_column(justify="right", style="dim", no_wrap=True)
    body.add_column(no_wrap=True)
    body.add_column(ratio=1)
    if row["message"]:
        body.add_row("error", "", Text(row["message"], style="red"))
    if row["at"]:
        body.add_row("raised in", "", Text(row["at"], style="bold"))
    add_facts(body, "leaves" if row["message"] else "seen", row["left"])
    body.add_row("cause", "", row["cause"])
    body.add_row("remedy", "", Text(row["remedy"], style="green"))
    add_facts(body, "works", row["fix"])
    add_facts(body, OTHER[row["where"]], row["other"])
    if row["status"] != "ok":
        body.add_row(row["status"], "!", Text(row["reason"], style="bold red"))
    colour = COLOUR[row["shows"]]
    outer = Grid.grid(expand=True)
    outer.add_row(Text(row["title"], style="bold"))
    outer.add_row(body)
    place = "PyTorch and JAX" if row["where"] == "both" else row["where"]
    stamp = Text(f" {row['name']} · {place} · {row['shows']} ", style=f"bold {colour}")
    return Panel(outer, title=stamp, title_align="left", border_style=colour)


def _reasons(rows: Iterable[Row]) -> Panel:
    """Why cells are predicted not to be equal: for each case, the reasons, and where they hold."""
    reasons: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for row in rows:
        if row["predicted"] not in ("equal", "reference"):
            reasons[row["case"], row["predicted"], row["why"]][SIDE[row["framework"]]] = None
    body = Grid.grid(padding=(0, 1))
    body.add_column(style="bold", no_wrap=True)
    body.add_column(ratio=1)
    last = ""
    for (case, outcome, why), sides in reasons.items():
        text = Text.assemble((f"{outcome}, {' and '.join(sides)}", "cyan"), f": {why}")
        body.add_row("" if case == last else case, text)
        last = case
    return Panel(body, title=" why strategies are not equal ", title_align="left")


def tables(rows: list[Row]) -> list[Table]:
    """The tables whose rows were measured."""
    made = [_peers(rows), _twice(rows), *(_unequal(rows, title, chosen) for title, chosen in COLUMNS.items())]
    return [table for table in made if table.lines]


def _of(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _mark(row: Row, outcome: str) -> str:
    return {"ok": outcome, "not_measured": "not measured", "failed": "FAILED"}.get(row["status"], f"DIFFERS {outcome}")


def _peers(rows: list[Row]) -> Table:
    title = "a harmless loss's gradient, [3, 3], beside a loss with an infinite one: whose is poisoned"
    lines = [[row["peer"], row.get("gradient", ""), _mark(row, row.get("outcome", ""))] for row in _of(rows, "peer")]
    return Table(title, ["peer", "gradient", ""], lines)


def _twice(rows: list[Row]) -> Table:
    found = _of(rows, "twice")
    passed = sum(row["twice"] for row in found)
    title = f"a second backward with no error: {passed} of {len(found)} toy graphs, those whose node saved no data"
    lines = [
        [
            row["op"],
            row["node"].partition("Backward")[0],
            row["saves"] or "nothing",
            str(row["packed"]),
            _mark(row, "passes" if row["twice"] else "raises"),
        ]
        for row in found
    ]
    return Table(title, ["graph", "node", "saved", "bytes", "second time"], lines)


def _unequal(rows: list[Row], title: str, columns: dict[str, str]) -> Table:
    """Case x strategy, PyTorch/JAX: how each cell compares with what the losses one by one imply."""
    cells: dict[str, dict[tuple[str, str], Row]] = defaultdict(dict)
    for row in _of(rows, "unequal"):
        cells[row["case"]][row["strategy"], row["framework"]] = row
    lines = [
        [case, *("/".join(_cell(found[strategy, side]) for side in ("torch", "jax")) for strategy in columns.values())]
        for case, found in cells.items()
    ]
    return Table(title, ["PyTorch/JAX", *columns], lines)


def _cell(row: Row) -> str:
    letter = LETTER.get(row.get("outcome", ""), "!")
    return _mark(row, f"{letter}{row['runs']}" if "runs" in row else letter)
