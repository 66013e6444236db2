"""README on a GPU: where and what was measured, peaks beside what was said of them before, times, and precision."""

from typing import Any

from comparisons.memory import gpu_tables
from comparisons.problems import SIZES
from comparisons.rows import Row, Table
from comparisons.scenarios import EVERY, STRATEGIES

Cells = set[tuple[str, str]]


def text(document: dict[str, Any], path: str) -> str:
    """The section, of one results file."""
    memory, cost = document["memory"], document["cost"]
    parts = [gradients(document, path), held(memory), peaks(memory, _lacking(document))]
    return "\n\n".join([*parts, times(cost), precision(cost)])


def gradients(document: dict[str, Any], path: str) -> str:
    found, rows = document["environment"], document["gradients"]
    worst = max(row["relative_error"] for row in rows if row["dtype"] == "float64" and "relative_error" in row)
    versions = ", ".join(f"{name} {found[name]}" for name in ("torch", "jax", "flax"))
    where = f"{found['machine']}; {versions}; sources {found['commit']}"
    counted = f"{where}: {len(rows):,} rows of gradients in [{path}]({path})"
    apart = f"float64 apart by at most {worst:.1e} of leaf scale"
    measured = {(row["problem"], row["strategy"]) for row in rows}
    missing = {(of, name) for of in SIZES for name in EVERY} - measured
    lacking = f"Not implemented in PyTorch: {_listed(_lacking(document))}"
    return f"{counted}, {apart}. {lacking}. Not measured: {_listed(missing)}."


def _lacking(document: dict[str, Any]) -> Cells:
    """What PyTorch does not implement on the device."""
    return {(row["problem"], row["strategy"]) for row in document["gradients"] if row["status"] == "unsupported"}


def _listed(cells: Cells) -> str:
    own = {of: [f"`{name}`" for name in EVERY if (of, name) in cells] for of in SIZES}
    return "; ".join(f"{', '.join(names)} of {of}" for of, names in own.items() if names) or "none"


def held(rows: list[Row]) -> str:
    """What waits for a backward, beside a second instrument, the closed forms, and 0 B once all is dropped."""
    said = [row for row in rows if row.get("predicted") is not None]
    equal = sum(row["bytes"] == row["predicted"] for row in said)
    by = "by a second instrument, by the closed forms of many_heads, or 0 B once all is dropped"
    slower = [f"{row['ratio']:.2f} ({row['framework']})" for row in rows if row["phase"] == "recording"]
    counted = f"Bytes held between passes: {equal} of {len(said)} are what was said before ({by})"
    return f"{counted}. A step whose held bytes are recorded takes {', '.join(slower)} of the time of one that is not."


def peaks(rows: list[Row], lacking: Cells) -> str:
    """Peaks beside what was said of them, and the cells of PyTorch's that have none."""
    large = [row for row in rows if row.get("size") == "large"]
    own = {(r["problem"], r["strategy"]) for r in large if r["framework"] == "torch" and r["phase"] == "peak"}
    missing = {(of, name) for of in SIZES for name in STRATEGIES} - own - lacking
    return f"{gpu_tables.summary(large).markdown()}\n\nPyTorch's peaks not measured: {_listed(missing)}."


def times(rows: list[Row]) -> str:
    """Time in terms of the same side's summed gradient, and JAX's fastest in terms of PyTorch's."""
    own = {(r["regime"], r["losses"], r["framework"], r["strategy"]): r for r in rows if r["precision"] == "float32"}
    names = list(dict.fromkeys(name for *_, name in own if name != "summed"))
    lines, told = [], []
    for regime, losses in dict.fromkeys(of[:2] for of in own):
        for side in ("torch", "jax"):
            found = [own.get((regime, losses, side, name)) for name in names]
            ratios = [f"{row['time_ratio']:.2f}" if row else "-" for row in found]
            lines.append([f"{regime}, K={losses}, {side}", *ratios])
        best = min(row["against_torch"] for of, row in own.items() if of[0] == regime and "against_torch" in row)
        told.append(f"{best:.2f} ({regime})")
    table = Table("", ["time, in terms of `summed`", *names], lines).markdown()
    said = f"JAX's fastest gradient per loss takes {', '.join(told)} of the time of PyTorch's fastest."
    return f"{table}\n\n{said}"


def precision(rows: list[Row]) -> str:
    """Errors with products exact to float32, and with each framework's own default."""
    worst = [
        max(r["eps"] for r in rows if r["framework"] == side and r["precision"] == kind)
        for side in ("torch", "jax")
        for kind in ("float32", "defaults")
    ]
    return (
        "Matrix products are exact to float32 in that table, as PyTorch takes them by default (worst error {:,.0f} "
        "eps, {:,.0f} by default); JAX by default does not (worst error {:,.0f} eps, {:,.0f} by default: TF32)."
    ).format(*worst)
