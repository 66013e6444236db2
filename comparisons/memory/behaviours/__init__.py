"""Stated behaviours as rows: each sentence is tried, and its figures must be the closed form's or stand as it says."""

from contextlib import nullcontext
from functools import partial
from importlib import import_module

from comparisons.memory.behaviours.seen import Seen
from comparisons.memory.behaviours.table import BEHAVIOURS, LIFETIMES, ON_CPU
from comparisons.rows import Row, Unit, failed


def units(device: str) -> list[Unit]:
    """One unit for each behaviour and side."""
    return [
        Unit("memory", "behaviours", f"behaviour  {name}  {side}", partial(rows, name, side, device))
        for name in BEHAVIOURS
        for side in ("torch", "jax")
    ]


def rows(name: str, framework: str, device: str = "cpu") -> list[Row]:
    """One behaviour on one side: a row that says what was seen, or why there is nothing to see."""
    device = "cpu" if name in ON_CPU else device
    row: Row = {
        "id": f"memory/behaviour/{name}/{device}/{framework}",
        "problem": None,
        "behaviour": name,
        "framework": framework,
        "device": device,
        "phase": None,
        "kind": "behaviour",
        "status": "ok",
    }
    if framework in BEHAVIOURS[name]:
        return [row | {"status": "unsupported", "reason": BEHAVIOURS[name][framework]}]
    try:
        return [judged(row, _seen(name, framework, device))]
    except NotImplementedError as error:
        return [row | {"status": "unsupported", "reason": str(error)}]
    except Exception as error:
        return [failed(row, error)]


def judged(row: Row, seen: Seen) -> Row:
    """The row with its figures; it differs where one of them is not what the behaviour says."""
    row = row | {
        "says": seen.says,
        "call": seen.call,
        "figures": seen.figures,
        "expected": seen.expected,
        "relations": list(seen.relations),
        "holds": not seen.wrong,
    }
    return row | {"status": "differs", "reason": seen.wrong} if seen.wrong else row


def _seen(name: str, framework: str, device: str) -> Seen:
    kind = "lifetimes" if name in LIFETIMES else "programs"
    check = getattr(import_module(f"comparisons.memory.behaviours.{kind}_in_{framework}"), name)
    if framework == "jax":
        from comparisons.frameworks import jax_scope
        from comparisons.memory.sides import DTYPE

        with jax_scope(DTYPE, device):
            return check(device)
    import torch

    with nullcontext() if device == "cpu" else torch.device(device):
        return check(device)
