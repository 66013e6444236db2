"""Are the lesson's claims right? One row a claim: its check runs, and what it observes decides the verdict.

A row differs where the verdict is not the predicted one, or where a PyTorch or JAX fact beside it does not hold.
"""

from collections.abc import Iterable
from functools import partial
from importlib import import_module

from comparisons.facts import Fact, text, verdict
from comparisons.lesson.cards import cards, tables
from comparisons.lesson.claims import CLAIMS, Checked
from comparisons.rows import Row, Unit, failed

__all__ = ["cards", "judge", "rows", "tables", "units"]


def units(claims: Iterable[int] = ()) -> list[Unit]:
    """The named claims, or all, as units of work."""
    wanted = set(claims) or set(CLAIMS)
    return [Unit("lesson", "claims", f"claim {number}", partial(rows, number)) for number in CLAIMS if number in wanted]


def rows(number: int) -> list[Row]:
    """One claim's row; if its check crashes, with status `failed`."""
    module, _, check = CLAIMS[number].check.partition(".")
    try:
        found = getattr(import_module(f"comparisons.lesson.{module}"), check)()
        return [judge(number, found)]
    except Exception as error:  # whatever a framework raises is this claim's result
        return [failed(_head(number), error)]


def judge(number: int, found: Checked) -> Row:
    """The verdict that the evidence gives, next to the predicted one."""
    row = _head(number) | {
        "verdict": verdict(found.cases),
        "evidence": text(found.cases),
        "also": text(found.asides),
        "jax": text(found.jax),
    }
    broken: list[Fact] = [fact for fact in (*found.asides, *found.jax) if not fact.holds]
    if row["verdict"] != row["predicted"]:
        row |= {"status": "differs", "reason": f"predicted {row['predicted']}, the evidence says {row['verdict']}"}
    elif broken:
        row |= {"status": "differs", "reason": f"no longer holds: {broken[0].says} -> {broken[0].seen}"}
    return row


def _head(number: int) -> Row:
    claim = CLAIMS[number]
    return {
        "id": f"lesson/{number:02}",
        "claim": number,
        "says": claim.says,
        "predicted": claim.predicted,
        "verdict": None,
        "evidence": "",
        "also": "",
        "jax": "",
        "status": "ok",
    }
