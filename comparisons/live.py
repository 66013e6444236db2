"""A long run on disk while it goes on: each unit's rows as soon as they are there, and what an earlier run has left."""

import json
from pathlib import Path

from comparisons import results
from comparisons.rows import Row, Unit
from comparisons.usage import BadUsage

SAME = ("machine", "cores", "system", "python", "torch", "jax", "flax", "numpy")


class Live:
    """One question's rows in one file, rewritten in one step after every unit; a row names its unit.

    With `resume`, the units whose rows the file holds are done, but for those that failed. BadUsage where it was
    measured on another machine or with other versions: times would not compare. So it is with other `options`, those
    that change what a unit measures.
    """

    def __init__(self, path: Path, device: str, resume: bool = False, options: str = ""):
        self.path = path
        self.environment = results.environment(device) | ({"options": options} if options else {})
        self.found: list[Row] = []
        self.question = ""
        if resume and path.exists():
            self._read()

    def begin(self, units: list[Unit], rows: dict[str, list[Row]]) -> list[Unit]:
        """The units that are left; the others' rows go into `rows`."""
        (self.question,) = {unit.question for unit in units}
        again = {row["unit"] for row in self.found if row["status"] == "failed"}
        rows[self.question] += [row for row in self.found if row["unit"] not in again]
        done = {row["unit"] for row in rows[self.question]}
        return [unit for unit in units if unit.label not in done]

    def keep(self, unit: Unit, rows: dict[str, list[Row]]) -> None:
        """Write everything so far, this unit's rows included."""
        for row in rows[self.question]:
            row.setdefault("unit", unit.label)
        document = {"schema": results.SCHEMA, "environment": self.environment, self.question: rows[self.question]}
        results.write(self.path, document)

    def _read(self) -> None:
        try:
            document = json.loads(self.path.read_text())
            before, now = dict(document["environment"]), self.environment
            lists = [value for value in document.values() if isinstance(value, list)]
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise BadUsage(
                f"--resume: {str(self.path)!r} holds no results ({type(error).__name__}): name another file"
            ) from None
        apart = [key for key in SAME if before.get(key) != now[key]]
        if apart:
            told = ", ".join(f"{key} {before.get(key)}, here {now[key]}" for key in apart)
            raise BadUsage(f"--resume: {str(self.path)!r} was measured elsewhere ({told}): name another file")
        there, here = (found.get("options", "none") for found in (before, now))
        if there != here:
            raise BadUsage(f"--resume: {str(self.path)!r} was begun with other options ({there}, here {here})")
        self.found = [row for rows in lists for row in rows if "unit" in row]
