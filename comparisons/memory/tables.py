"""The ledger as tables: bytes by phase, how many predictions hold, and the stated behaviours with what was seen."""

from textwrap import wrap

from comparisons.memory import fits, gpu_tables
from comparisons.rows import Row, Table

PHASES = ("forward", "last", "dropped")
WIDE = 62  # and the two columns beside it: a terminal of 80


def tables(rows: list[Row]) -> list[Table]:
    """One ledger a problem, the curves, one line a framework for what was predicted, the behaviours, what fits."""
    behaviours = [row for row in rows if row.get("kind") == "behaviour"]
    rows = [row for row in rows if row.get("kind") != "behaviour"]
    ledger = [row for row in rows if row.get("strategy") and "curve" not in row]
    problems = list(dict.fromkeys(row["problem"] for row in ledger))
    found = [*(_ledger(name, ledger) for name in problems), *gpu_tables.tables(ledger), *curves(rows), *looking(rows)]
    found += [_predictions(rows)] if rows else []
    found += [_behaviours(behaviours)] if behaviours else []
    return [*found, *fits.tables(rows), *fits.resources(rows)]


def _ledger(problem: str, rows: list[Row]) -> Table:
    held = "bytes held after the forward, after the last backward, once all is dropped (-: there is no such moment)"
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if row["problem"] == problem and row.get("strategy"):
            found.setdefault((row["strategy"], row["framework"]), {})[row["phase"] or ""] = row
    lines = [
        [strategy, side, *(_bytes(phases.get(phase)) for phase in PHASES), _peak(phases)]
        for (strategy, side), phases in found.items()
    ]
    simulated = ", simulated" if any(row["kind"] == "simulated" for row in rows) else ""
    planned = " (p: as planned)" if any(peak.endswith(" p") for *_, peak in lines) else ""
    title = f"{problem}: {held}; and the peak{simulated}{planned}"
    return Table(title, ["strategy", "side", *PHASES, "peak"], lines)


def _bytes(row: Row | None) -> str:
    if row is None:
        return ""
    if row["status"] == "unsupported":
        return "-"
    return f"DIFFERS {row['bytes']:,}" if row["status"] == "differs" else f"{_sign(row)}{row['bytes']:,}"


def _sign(row: Row) -> str:
    return "≥" if row.get("bound") == "lower bound" else ""


def _peak(phases: dict[str, Row]) -> str:
    row, plan = phases.get("peak"), phases.get("plan")
    if plan and (row is None or row["kind"] == "simulated"):
        row = plan
    if row is None:
        return "FAILED"
    return f"{_sign(row)}{row['bytes']:,}{' p' if row['kind'] == 'planned' else ''}"


def curves(rows: list[Row]) -> list[Table]:
    """One table for each axis: held bytes along it, and what the peak has beyond arguments and results."""
    found = []
    for axis in dict.fromkeys(row["curve"] for row in rows if "curve" in row):
        own = [row for row in rows if row.get("curve") == axis]
        values = sorted({row["at"] for row in own})
        lines: dict[tuple[str, str, str], dict[int, Row]] = {}
        for row in own:
            lines.setdefault((row["strategy"], row["framework"], row["phase"]), {})[row["at"]] = row
        title = f"many_heads by {axis}: bytes held after the forward; and at the peak, beyond arguments and results"
        text = [[*key, *(_beyond(found.get(value)) for value in values)] for key, found in lines.items()]
        found.append(Table(title, ["strategy", "side", "at", *map(str, values)], text))
    return found


def _beyond(row: Row | None) -> str:
    return _bytes(row) if row is None or "beyond" not in row else f"{row['beyond']:,}"


def looking(rows: list[Row]) -> list[Table]:
    """How much slower a recorded step is."""
    own = [row for row in rows if row.get("phase") == "recording"]
    lines = [[row["framework"], f"{row['ratio']:.2f} x", f"{row['low']:.2f} to {row['high']:.2f}"] for row in own]
    title = "what recording costs: a recorded step in terms of one that is not (many_heads); the quartiles of rounds"
    return [Table(title, ["side", "slower", "spread"], lines)] if own else []


def _predictions(rows: list[Row]) -> Table:
    lines = []
    for side in ("torch", "jax"):
        judged = [row for row in rows if row["framework"] == side and row.get("predicted") is not None]
        held = sum(row["bytes"] == row["predicted"] for row in judged)
        lines.append([side, str(len(judged)), str(held)])
    title = "predictions in closed form, by a second instrument, or zero once dropped: how many hold, to the byte"
    return Table(title, ["side", "predicted", "equal"], lines)


def _behaviours(rows: list[Row]) -> Table:
    lines = []
    for row in rows:
        holds = {"ok": "yes", "unsupported": "-"}.get(row["status"], row["status"].upper())
        first, *rest = wrap(row.get("says") or f"{row['behaviour']}: {row['reason']}", WIDE)
        reason = wrap(row["reason"], WIDE) if row["status"] == "differs" else []
        below = [*rest, *_figures(row.get("figures", {})), *reason]
        lines += [[first, row["framework"], holds], *([text, "", ""] for text in below)]
    return Table("stated behaviours, and what was seen: bytes, or a count", ["behaviour", "side", "holds"], lines)


def _figures(figures: dict[str, int]) -> list[str]:
    """As many to a line as fit, none of them broken."""
    lines: list[str] = []
    for figure in (f"{name}: {value:,}" for name, value in figures.items()):
        if lines and len(lines[-1]) + len(figure) + 2 <= WIDE:
            lines[-1] += f"; {figure}"
        else:
            lines.append(f"  {figure}")
    return lines
