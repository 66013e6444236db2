"""What goes wrong, and where strategies are not equal: cards reproduced live, and three tables.

Rows are of four kinds: a `card` for each pitfall, a `peer` for each library function that shares the poisoned
gradient, `twice` for each toy graph and its second backward, `unequal` for each case, framework and strategy.
"""

from collections.abc import Iterable
from functools import partial
from importlib import import_module

from comparisons.facts import text
from comparisons.pitfalls.cards import cards, tables
from comparisons.pitfalls.table import CARDS, FULL, SECTIONS, Card
from comparisons.rows import Row, Unit, failed

__all__ = ["cards", "tables", "units"]


def units(names: Iterable[str] = (), full: bool = False) -> list[Unit]:
    """The named cards and sections, or all; without `full`, none that needs a C++ compiler unless named."""
    wanted = set(names) or {*CARDS, *SECTIONS, *(FULL if full else ())}
    found = [Unit("pitfalls", "cards", name, partial(rows, name)) for name in {**CARDS, **FULL} if name in wanted]
    if "peers" in wanted:
        found.append(Unit("pitfalls", "peers", "peers", partial(_call, "peers", "rows")))
    if "twice" in wanted:
        found.append(Unit("pitfalls", "twice", "second backwards", partial(_call, "twice", "rows")))
    if "unequal" in wanted:
        from comparisons.pitfalls.cases import CASES

        found += [
            Unit("pitfalls", "unequal", f"unequal  {case}", partial(_call, "unequal", "rows", case)) for case in CASES
        ]
    return found


def _call(module: str, function: str, *arguments) -> list[Row]:
    return getattr(import_module(f"comparisons.pitfalls.{module}"), function)(*arguments)


def rows(name: str) -> list[Row]:
    """One card's row; if its check crashes, with status `failed`."""
    card = {**CARDS, **FULL}[name]
    module, _, check = card.check.partition(".")
    try:
        checks = import_module(f"comparisons.pitfalls.{module}")
        if card.backend == "inductor" and not checks.compiler():
            return [
                _head(name, card) | {"status": "not_measured", "reason": "inductor needs a C++ compiler: none found"}
            ]
        found = getattr(checks, check)(*([card.backend] if card.backend else []))
        return [judge(name, card, found)]
    except Exception as error:  # whatever a framework raises is this card's result
        return [failed(_head(name, card), error)]


def judge(name: str, card: Card, found) -> Row:
    """The card with what its check found; it differs where the error or any fact is not as stated."""
    row = _head(name, card) | {
        "message": str(found.error) if found.error.kind else "",
        "at": found.error.at or "",
        "left": text(found.left),
        "fix": text(found.fix),
        "other": text(found.other),
    }
    broken = [fact for fact in (*found.left, *found.fix, *found.other) if not fact.holds]
    if card.text not in found.error.message or bool(card.text) != bool(found.error.kind):
        expected = f"an error with {card.text!r}" if card.text else "no error"
        row |= {"status": "differs", "reason": f"expected {expected}, found: {found.error}"}
    elif card.at not in row["at"]:
        row |= {
            "status": "differs",
            "reason": f"expected it to be raised in {card.at}, found {row['at'] or 'no place'}",
        }
    elif broken:
        row |= {"status": "differs", "reason": f"no longer holds: {broken[0].says} -> {broken[0].seen}"}
    return row


def _head(name: str, card: Card) -> Row:
    return {
        "id": f"pitfalls/{name}",
        "kind": "card",
        "name": name,
        "where": card.where,
        "shows": card.shows,
        "title": card.title,
        "message": "",
        "at": "",
        "left": "",
        "cause": card.cause,
        "remedy": card.remedy,
        "fix": "",
        "other": "",
        "status": "ok",
    }
