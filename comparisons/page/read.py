"""Results files, read: each is checked, and those of one machine and one set of versions are one run."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from comparisons import results
from comparisons.rows import Row
from comparisons.usage import BadUsage

IDENTITY = ("machine", "cores", "system", "python", "torch", "jax", "flax", "numpy")


class Run(NamedTuple):
    """What was measured on one machine with one set of versions; `key` begins the links to all runs but the first."""

    key: str
    files: list[str]
    environments: list[dict[str, Any]]
    rows: dict[str, list[Row]]

    @property
    def label(self) -> str:
        """What tells it from the other runs."""
        found = self.environments[0]
        versions = ", ".join(f"{name} {found[name]}" for name in ("torch", "jax") if name in found)
        return f"{found.get('machine') or 'an unknown machine'}; {versions}"

    def anchor(self, row: Row) -> str:
        """Where the row stands on the page: its id, without spaces; in a second or later run behind the run's key."""
        return self.key + re.sub(r"\s+", "-", row["id"])


def wrong(rows: Iterable[Row]) -> list[Row]:
    """The rows that do not hold."""
    return [row for row in rows if row["status"] in ("differs", "failed")]


def read(paths: Iterable[Path]) -> list[Run]:
    """The files as runs, in order. Where two files of one run have the same row, the later file's counts."""
    runs: dict[tuple, Run] = {}
    for path in paths:
        document = load(path)
        environment = document["environment"]
        identity = tuple(str(environment.get(name)) for name in IDENTITY)
        key = f"{'ABCDEFGHIJ'[min(len(runs), 9)]}/" if runs else ""
        run = runs.setdefault(identity, Run(key, [], [], {}))
        run.files.append(path.name)
        run.environments.append(environment)
        for question, rows in document.items():
            if isinstance(rows, list):
                merged = {row["id"]: row for row in [*run.rows.get(question, []), *rows]}
                run.rows[question] = [*merged.values()]
    return [*runs.values()]


def load(path: Path) -> dict[str, Any]:
    """One file, or one line that says what is wrong with it."""
    again = "write one with `make report`, or `python -m comparisons memory --json FILE`"
    try:
        document = json.loads(path.read_text(), parse_constant=_constant)
    except OSError as error:
        raise BadUsage(f"{str(path)!r} cannot be read: {error.strerror}; {again}") from None
    except UnicodeDecodeError:
        raise BadUsage(f"{str(path)!r} is not text; {again}") from None
    except json.JSONDecodeError as error:
        raise BadUsage(f"{str(path)!r} is no whole JSON: {error.msg} at line {error.lineno}; {again}") from None
    except ValueError as error:
        raise BadUsage(f"{str(path)!r} holds {error}, which is not JSON: null says that a number is none") from None
    if not isinstance(document, dict) or "schema" not in document:
        raise BadUsage(f"{str(path)!r} is no results file: it has no schema; {again}")
    if document["schema"] != results.SCHEMA:
        raise BadUsage(f"{str(path)!r} has schema {document['schema']!r}, this version reads {results.SCHEMA}; {again}")
    if not isinstance(document.get("environment"), dict):
        raise BadUsage(f"{str(path)!r} is no results file: it has no environment; {again}")
    for question, rows in document.items():
        if not isinstance(rows, list):
            continue
        for number, row in enumerate(rows):
            if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("id", "status")):
                raise BadUsage(f"{str(path)!r}: {question}[{number}] is no row: it needs an id and a status; {again}")
    return document


def _constant(name: str) -> float:
    raise ValueError(name)
