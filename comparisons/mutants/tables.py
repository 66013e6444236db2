"""Who catches what: one line a tool, and one line a planted bug."""

from comparisons.mutants.tools import TOOLS
from comparisons.rows import Row, Table


def tables(rows: list[Row]) -> list[Table]:
    return [table for table in (score(rows), planted(rows)) if table.lines]


def score(rows: list[Row]) -> Table:
    """How many planted bugs each tool catches, and how many correct pairs it fails."""
    kinds = {kind: [r for r in rows if r["kind"] == kind] for kind in ("planted", "correct", "ill-conditioned")}
    lines = []
    for tool in TOOLS if rows else ():
        counts = {
            kind: f"{sum(r['caught'].get(tool, False) for r in own)} of {len(own)}" for kind, own in kinds.items()
        }
        lines.append([tool, *counts.values()])
    head = ["at its defaults", "planted bugs caught", "correct pairs failed", "ill-conditioned pairs failed"]
    return Table("Planted porting bugs and correct pairs, by assertion", head, lines)


def planted(rows: list[Row]) -> Table:
    """Every planted bug: `x` where a tool caught it, `MISSED` where it did not."""
    short = {
        name: name.replace(" assert_close, ", " ").replace(" trees_all_close, ", " ").replace(" assert_allclose, ", " ")
        for name in TOOLS
    }
    lines = []
    for row in rows:
        if row["kind"] == "planted":
            marks = ["x" if row.get("caught", {}).get(tool) else "MISSED" for tool in TOOLS]
            lines.append([row["id"].removeprefix("mutants/planted/"), *marks, row.get("source", "").partition(":")[0]])
    return Table("Each planted bug", ["bug", *(s.replace("float", "f") for s in short.values()), "found in"], lines)
