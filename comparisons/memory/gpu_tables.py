"""A GPU's peaks beside what was said of them before: PyTorch's by simulation, JAX's by the program's plan."""

from comparisons.problems import SIZES
from comparisons.rows import Row, Table

GOAL = 0.02  # how far a peak may be from its simulation


def tables(rows: list[Row]) -> list[Table]:
    """For each problem PyTorch's peaks, the workspaces that set them apart from the simulation, and JAX's peaks."""
    peaks = [row for row in rows if row["phase"] == "peak" and row["device"] == "cuda" and row["kind"] == "observed"]
    found = []
    for name in dict.fromkeys(row["problem"] for row in peaks):
        own = [row for row in peaks if row["problem"] == name]
        found += [simulated(name, own), workspaces(name, own), planned(name, own)]
    return [table for table in found if table.lines]


def summary(rows: list[Row]) -> Table:
    """A line a problem: how many peaks are near what was said of them, the furthest, and the largest workspace."""
    lines = []
    for name in SIZES:
        own = [row for row in rows if row["problem"] == name and row["phase"] == "peak"]
        torch, jax = ([row for row in own if row["framework"] == side] for side in ("torch", "jax"))
        inside = workspaces(name, torch).lines
        line = [name, _near(torch, "simulated"), f"{_explained(torch)} of {len(torch)}" if torch else "-"]
        lines.append([*line, ", ".join(inside[0]) if inside else "-", _near(jax, "planned")])
    within = f"within {GOAL:.0%} of its"
    header = ["peaks", f"PyTorch {within} simulation (furthest)", "to the byte with workspaces", "the largest, B"]
    return Table("", [*header, f"JAX {within} plan (furthest)"], lines)


def _near(rows: list[Row], said: str) -> str:
    """How many are within the goal, of those measured, and the furthest of them."""
    if not rows:
        return "not measured"
    apart = [_apart(row, said) for row in rows if said in row]
    near = f"{sum(abs(size) <= GOAL for size in apart)} of {len(apart)}"
    return f"{near} ({max(apart, key=abs):+.2%})" if apart else "not simulated"


def _explained(rows: list[Row]) -> int:
    """How many peaks are, to the byte, what operators return and take inside, but for the allocator's rounding."""
    return sum(row["status"] == "ok" and "accounted" in row for row in rows)


def simulated(name: str, rows: list[Row]) -> Table:
    """PyTorch's peaks, and whether what operators return and take inside is all that was asked for."""
    own = [row for row in rows if "accounted" in row]
    apart = [abs(_apart(row, "simulated")) for row in own if "simulated" in row]
    near = f"{sum(size <= GOAL for size in apart)} of {len(apart)} peaks within {GOAL:.0%} of the simulation (the goal)"
    title = f"{name} on a GPU, PyTorch: {near if apart else 'not simulated'}; with what kernels take inside, "
    title += f"{_explained(own)} of {len(own)} to the byte, but for the allocator's rounding"
    lines = [[*_beside(row, "simulated"), f"{row['bytes'] - row['requested']:,}"] for row in own]
    return Table(title, ["strategy", "peak", "simulated", "apart", "rounding"], lines)


def workspaces(name: str, rows: list[Row]) -> Table:
    """What kernels take inside, which no simulation of operators sees: the most of all strategies."""
    most: dict[str, int] = {}
    for row in rows:
        for operator, size in row.get("workspaces", {}).items():
            most[operator] = max(size, most.get(operator, 0))
    lines = [[op.removeprefix("aten."), f"{size:,}"] for op, size in sorted(most.items(), key=lambda of: -of[1])]
    return Table(f"{name} on a GPU, PyTorch: the most that an operator's kernels take inside", ["op", "bytes"], lines)


def planned(name: str, rows: list[Row]) -> Table:
    """JAX's peaks: the program's own, in a process that does nothing else."""
    title = f"{name} on a GPU, JAX: peak_bytes_in_use of a process of its own, beside the program's plan"
    lines = [_beside(row, "planned") for row in rows if "planned" in row]
    return Table(title, ["strategy", "peak", "planned", "apart"], lines)


def _beside(row: Row, said: str) -> list[str]:
    told = [f"{row[said]:,}", f"{_apart(row, said):+.1%}"] if said in row else ["-", "-"]
    return [row["strategy"], f"{row['bytes']:,}", *told]


def _apart(row: Row, said: str) -> float:
    return row["bytes"] / row[said] - 1
