"""What the simulated ledger says of a machine: which strategies fit, and by whose kernels."""

import re
from fractions import Fraction

from comparisons.rows import Row, Table
from comparisons.usage import BadUsage

LOWER = "lower bound"
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
GOAL = "goal: 60 s and 2 GiB"


def parsed(text: str) -> int:
    """80GB, 80GiB, 512MB or 1.5TB in bytes; BadUsage for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]i?)?B", text.strip(), re.IGNORECASE)
    size = int(Fraction(found[1]) * UNITS[(found[2] or "").upper()]) if found else 0
    if size < 1:
        raise BadUsage(f"--fits {text!r} is not a size: give a number and a unit, such as 80GB, 80GiB or 512MB")
    return size


def tables(rows: list[Row]) -> list[Table]:
    """The strategies that fit, the smallest first, and those that may: a lower bound within the limit.

    A compiled plan stands for its lower bound.
    """
    best = {(row["framework"], row["problem"], row["strategy"]): row for row in rows if "limit" in row}
    found = []
    for side in ("torch", "jax"):
        of = [row for row in best.values() if row["framework"] == side]
        for assumes in dict.fromkeys(row["assumes"] for row in of):
            group = [row for row in of if row["assumes"] == assumes]
            sure = [row for row in group if row["fits"] and row["bound"] != LOWER]
            may = [row for row in group if row["fits"] and row["bound"] == LOWER]
            own = sorted([*sure, *may], key=lambda row: row["bytes"])
            lines = [[row["strategy"], row["problem"], side, f"{row['bytes']:,}", row["bound"]] for row in own]
            told = f"{len(sure)} of {len(group)} fit in {group[0]['limit']:,} B{f', {len(may)} may' if may else ''}"
            title = f"{told}. Assumed: {assumes}"
            found.append(Table(title, ["strategy", "problem", "side", "bytes", "bound"], lines))
    return found


def resources(rows: list[Row]) -> list[Table]:
    """What the simulation itself took."""
    return [
        Table(
            f"simulating took ({GOAL})",
            ["size", "seconds", "on a processor", "resident bytes at most"],
            [[row["size"], f"{row['seconds']}", f"{row['cpu_seconds']}", f"{row['bytes']:,}"]],
        )
        for row in rows
        if row["phase"] == "resources"
    ]
