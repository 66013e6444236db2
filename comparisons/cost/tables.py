"""What was measured, as tables."""

from comparisons.cost import leads
from comparisons.cost.targets import targets
from comparisons.problems import SIZES
from comparisons.rows import Row, Table
from comparisons.scenarios import EVERY

TIMES = "time and FLOPs in terms of the same side's summed, seconds to compile, peak kB, error in eps"
HEADER = ["strategy", "mode", "time", "quartiles", "FLOPs", "compile", "peak", "float32", "bf16"]


def tables(rows: list[Row]) -> list[Table]:
    """The tables of what was measured; those without a line are left out."""
    every = [flops(rows), shared(rows), analysis(rows), *times(rows), *leads.tables(rows), sweeps(rows), cores(rows)]
    every += targets(rows)
    return [table for table in every if table.lines]


def flops(rows: list[Row]) -> Table:
    """Strategy x problem: FLOPs in terms of the summed gradient's, PyTorch/JAX."""
    title = "FLOPs of products and convolutions in terms of the summed gradient's, PyTorch/JAX; each is equal to theory"
    found = {(row["strategy"], row["problem"], row["framework"]): row for row in rows if row["kind"] == "flops"}
    strategies = [name for name in EVERY if any(name == strategy for strategy, _, _ in found)]
    problems = [name for name in SIZES if any(name == problem for _, problem, _ in found)]
    lines = [
        [name, *("/".join(_ratio(found.get((name, p, side))) for side in ("torch", "jax")) for p in problems)]
        for name in strategies
    ]
    return Table(title, ["strategy", *problems], lines)


def shared(rows: list[Row]) -> Table:
    """What is computed again: products, both sides."""
    title = "what is shared and what is computed again, PyTorch/JAX (XLA's own count)"
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["kind"] == "shared":
            found.setdefault(row["says"], {})[row["framework"]] = row
    lines = [[says, "/".join(_counted(sides.get(side)) for side in ("torch", "jax"))] for says, sides in found.items()]
    return Table(title, ["what is taken", "count"], lines)


def times(rows: list[Row]) -> list[Table]:
    """A table a regime and K: time, peak and error of every strategy."""
    places: dict[str, list[Row]] = {}
    for row in rows:
        if row["kind"] == "time":
            kind = "" if row["precision"] == "float32" else f", {row['precision']}"
            places.setdefault(f"{row['regime']}, K={row['losses']}{kind}", []).append(row)
    return [Table(f"{place}: {TIMES}", HEADER, [_time(row) for row in found]) for place, found in places.items()]


def sweeps(rows: list[Row]) -> Table:
    """Fitted lines: what one more loss, layer or sample costs, in terms of the summed gradient at the first point."""
    title = "what one more costs, in terms of the summed gradient at the first point: the line through the times, FLOPs"
    lines = [
        [
            f"{row['regime']} {row['axis']} {row['strategy']}",
            row["mode"],
            f"{row['intercept']:.2f} {row['slope']:+.3f} x",
            f"{row['miss']:.0%}",
            f"{row['flop_slope']:.3f}" if "flop_slope" in row else "",
        ]
        for row in rows
        if row["kind"] == "sweep" and "slope" in row
    ]
    return Table(title, ["sweep", "mode", "time", "off by", "FLOPs"], lines)


def cores(rows: list[Row]) -> Table:
    """Whether both sides have the same cores: what a large product keeps busy."""
    found = [row for row in rows if row["kind"] == "harness" and row.get("cores_busy")]
    lines = [[row["framework"], str(row["cores"]), f"{row['cores_busy']:.1f}"] for row in found]
    return Table("cores given to both sides, and kept busy by a large product", ["side", "given", "busy"], lines)


def _time(row: Row) -> list[str]:
    head = [row["strategy"], row["mode"]]
    if row["status"] != "ok":
        return [*head, row["status"].upper(), *[""] * (len(HEADER) - 3)]
    low, high = row.get("spread", (None, None))
    return [
        *head,
        _number(row.get("time_ratio")),
        f"{low:.2f}-{high:.2f}" if low is not None else "",
        _number(row["flop_ratio"]),
        _number(row.get("compile_seconds"), ".1f"),
        _number(row["peak"] / 1000 if row.get("peak") else None, ",.0f"),
        _number(row.get("eps"), ".1f"),
        _number(row.get("eps_bfloat16"), ".1f"),
    ]


def _number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else format(value, form)


def _counted(row: Row | None) -> str:
    if row is None or row["status"] != "ok":
        return "-" if row is None else row["status"].upper()
    return f"{row['counted']:.0f}" + (f" ({row['xla']:.1f})" if "xla" in row else "")


def analysis(rows: list[Row]) -> Table:
    """XLA's own count beside ours, and what sets them apart."""
    title = "XLA's cost analysis in terms of the FLOPs counted: elementwise work counts, a loop's body once"
    lines = [
        [row["problem"], row["strategy"], f"{row['xla_ratio']:.3f}", row["xla_why"]]
        for row in rows
        if row["kind"] == "flops" and "xla" in row
    ]
    return Table(title, ["problem", "strategy", "ratio", "apart by"], lines)


def _ratio(row: Row | None) -> str:
    if row is None:
        return "-"
    if row["status"] != "ok":
        return row["status"].upper()
    return f"{row['flop_ratio']:.2f}"
