"""What the fields of a row mean: on the page, and in results/README.md."""

import tomllib
from pathlib import Path

INTRODUCTION = """# Results

Measurements, with the machine and the versions that they came from. Each file is one JSON document:

```
{"schema": 1, "environment": {...}, "gradients": [...], "memory": [...], ...}
```

Every key but the first two is a question, the same word as its command, and holds a list of rows, one a line. A row is
a flat object. JSON has no infinity and no NaN: such a number is null, and the row's `reason` says why. A number that
was not measured is absent; nothing is estimated in its place. `schema` changes when a field changes its meaning.

To look at files: `python -m comparisons report FILE...` makes one page of them. Files of one machine and one set of
versions are one run (where both have a row, the later file's counts); other files stand beside it. A row's `id` is the
link to its line on that page: `report/index.html#ID`, with spaces as hyphens; in a second file's run, `#B/ID`.

This text is made by `make readme` from `comparisons/page/templates/fields.toml`.
"""
FIELDS: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "templates" / "fields.toml").read_text())


def markdown() -> str:
    """The text of results/README.md."""
    lines = [INTRODUCTION]
    for question, fields in FIELDS.items():
        lines += [f"## {question}", "", "| field | meaning |", "| --- | --- |"]
        lines += [*(f"| `{name}` | {meaning} |" for name, meaning in fields.items()), ""]
    return "\n".join(lines)
