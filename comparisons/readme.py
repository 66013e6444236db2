"""`python -m comparisons.readme`: README.md's tables and its picture from results/, its outputs from its code."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from comparisons import page
from comparisons.cost.leads import judged
from comparisons.gradients.tables import gradient_grid, precision_grid, second_order_grid
from comparisons.higher_order.cost_tables import published
from comparisons.memory import gpu_tables
from comparisons.memory.fits import tables as fit_tables
from comparisons.memory.tables import PHASES
from comparisons.mutants.tables import tables as mutant_tables
from comparisons.page import schema
from comparisons.rows import Row, Table

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "results" / "lifetime_strip.svg"
CODE = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)
BLOCK = re.compile(r"<!-- results: (?P<name>\w+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def rewritten(text: str) -> str:
    """The page with every output and every table made anew."""
    text = CODE.sub(lambda m: f"```python\n{m['code']}```\n\n```text\n{output(m['code'])}```", text)
    return BLOCK.sub(lambda m: f"<!-- results: {m['name']} -->\n{MAKERS[m['name']]()}\n<!-- end -->", text)


def output(code: str) -> str:
    """What the code prints; a failed assertion prints its message."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        except AssertionError as failure:
            print(f"{type(failure).__name__}: {failure}")
    return printed.getvalue()


def grid() -> str:
    table = gradient_grid(_load("cpu")["gradients"])
    return f"{table.markdown()}\n\n{table.title}."


def second_order() -> str:
    table = second_order_grid(_load("cpu")["gradients"])
    return f"{table.markdown()}\n\n{table.title}."


def precision() -> str:
    table = precision_grid(_load("cpu")["gradients"])
    return f"{table.markdown()}\n\n{table.title}."


def environment() -> str:
    document = _load("cpu")
    found = document["environment"]
    versions = ", ".join(f"{name} {found[name]}" for name in ("python", "torch", "jax", "flax", "numpy"))
    count = sum(len(part) for part in document.values() if isinstance(part, list))
    rows = f"{count:,} rows in [results/cpu.json](results/cpu.json)"
    return f"{rows}: {found['machine']}, {found['cores']} cores; {versions}."


def speed() -> str:
    lines = []
    for row in _load("speed")["speed"]:
        seconds = f"{row['seconds']:.1f}" if row["seconds"] >= 0.05 else f"{row['seconds']:.3f}"
        lines.append([f"`{row['command']}`", seconds, str(row["target"])])
    return Table("", ["seconds, imports and compilation included", "measured", "target"], lines).markdown()


def mutants() -> str:
    return mutant_tables(_load("mutants")["mutants"])[0].markdown()


def memory() -> str:
    """What four strategies hold, and their peaks; how many closed forms hold, and what recording costs."""
    every = _load("cpu")["memory"]
    own = [row for row in every if row.get("problem") == "many_heads" and row.get("strategy") in HELD]
    own = [row for row in own if row["phase"] in (*PHASES, "peak", "plan") and "curve" not in row]
    found = {(row["strategy"], row["framework"], row["phase"]): row for row in own}
    lines = []
    for strategy in HELD:
        line = [strategy]
        for side, most in (("torch", "peak"), ("jax", "plan")):
            rows = [found.get((strategy, side, phase), {}) for phase in PHASES]
            line.append(" → ".join(f"{row['bytes']:,}" for row in rows) if all("bytes" in r for r in rows) else "-")
            line.append(f"{found[strategy, side, most]['bytes']:,}")
        lines.append(line)
    table = Table("", ["many_heads, bytes", "PyTorch holds", "its peak", "JAX holds", "its plan"], lines)
    return "\n\n".join([table.markdown(), *_swept(every), *_looking(every)])


def _swept(rows: list[Row]) -> list[str]:
    own = [row for row in rows if row.get("sweep")]
    configurations, equal = len({row["sweep"] for row in own}), sum(row["bytes"] == row["predicted"] for row in own)
    return [f"Over {configurations} sizes, {equal} of {len(own)} are equal to the byte."] if own else []


def _looking(rows: list[Row]) -> list[str]:
    times = {row["framework"]: f"{row['ratio']:.2f}" for row in rows if row.get("phase") == "recording"}
    said = "A step whose held bytes are recorded takes {torch} times as long in PyTorch, {jax} times in JAX."
    return [said.format(**times)] if times else []


def fits() -> str:
    tables = fit_tables(_load("gpt2_xl")["memory"])
    return "\n\n".join(f"{table.title}.\n\n{table.markdown()}" for table in tables)


def gpu() -> str:
    """Where and what was measured on a GPU: gradients, peaks beside what was said of them, times."""
    document = _load("h200")
    found, grads = document["environment"], document["gradients"]
    worst = max(row["relative_error"] for row in grads if row.get("equal"))
    lacks = sorted({f"`{row['strategy']}` of {row['problem']}" for row in grads if row["status"] == "unsupported"})
    versions = ", ".join(f"{name} {found[name]}" for name in ("torch", "jax", "flax"))
    said = (
        f"{found['machine']}; {versions}: {len(grads):,} rows of gradients in [results/h200.json](results/h200.json), "
    )
    said += f"float64 apart by at most {worst:.1e} of leaf scale. Not implemented in PyTorch: {', '.join(lacks)}."
    memory = [row for row in document["memory"] if row["size"] == "large" and row["problem"] != "lesson"]
    return "\n\n".join(
        [said, gpu_tables.summary(memory).markdown(), _times(document["cost"]), _defaults(document["cost"])]
    )


def _times(rows: list[Row]) -> str:
    """Time in terms of the same side's summed gradient, at each regime."""
    own = {(r["regime"], r["strategy"], r["framework"]): r for r in rows if r["precision"] == "float32"}
    regimes = list(dict.fromkeys(regime for regime, *_ in own))
    columns = [(regime, side) for regime in regimes for side in ("torch", "jax")]
    lines = [
        [name, *(f"{own[regime, name, side]['time_ratio']:.2f}" for regime, side in columns)]
        for name in dict.fromkeys(name for _, name, _ in own)
    ]
    titles = [f"{regime}, K={own[regime, 'summed', side]['losses']}, {side}" for regime, side in columns]
    best = {
        regime: min(r["against_torch"] for r in own.values() if r["regime"] == regime and "against_torch" in r)
        for regime in regimes
    }
    told = ", ".join(f"{ratio:.2f} ({regime})" for regime, ratio in best.items())
    table = Table("", ["time, in terms of `summed`", *titles], lines).markdown()
    return f"{table}\n\nSizes like these launch kernels: JAX's fastest gradient per loss takes {told} of the time of PyTorch's."


def _defaults(rows: list[Row]) -> str:
    worst = {
        (side, kind): max(r["eps"] for r in rows if r["framework"] == side and r["precision"] == kind)
        for side in ("torch", "jax")
        for kind in ("float32", "defaults")
    }
    return (
        "Products are exact to float32 in that table, as PyTorch takes them by default (worst error {:,.0f} eps, "
        "{:,.0f} by default); JAX by default does not (worst error {:,.0f} eps, {:,.0f} by default: TF32)."
    ).format(*worst.values())


def peers() -> str:
    """A line a regime and number of losses; a column a target."""
    found: dict[str, dict[str, str]] = {}
    for target, where, verdict, measured, _ in judged(_load("peers")["cost"]):
        found.setdefault(where, {})[target] = f"{measured} ({verdict})"
    columns = {
        "torchjd's calls both faster and lighter than our fastest": ("no call of torchjd",),
        "our fastest against torchjd's fastest": ("1.3x faster than torchjd", "no slower than torchjd"),
        "`gram` against its engine": ("gram",),
    }
    lines = [
        [where, *(next((t for name, t in told.items() if name.startswith(starts)), "-") for starts in columns.values())]
        for where, told in found.items()
    ]
    return Table("", ["where", *columns], lines).markdown()


def products() -> str:
    table = published(_load("cpu")["higher_order"])
    return Table("", table.header[:-1], [line[:-1] for line in table.lines]).markdown()


def lifetime_strip() -> str:
    """The picture: what each side holds at each moment of two losses' gradients."""
    (run,) = page.read([ROOT / "results" / "cpu.json"])
    return page.picture(run, "per_loss_retained")


HELD = ("summed", "per_loss_retained", "per_loss_recomputed", "per_loss_batched")
PARTS = (grid, second_order, precision, environment, memory, fits, peers, products, gpu, mutants, speed)
MAKERS: dict[str, Callable[[], str]] = {part.__name__: part for part in PARTS}


def _load(name: str) -> dict:
    return json.loads((ROOT / "results" / f"{name}.json").read_text())


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(rewritten(readme.read_text()))
    PICTURE.write_text(lifetime_strip())
    (ROOT / "results" / "README.md").write_text(schema.markdown())
