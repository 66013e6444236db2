"""`python -m comparisons.readme`: README.md's tables and its picture from results/, its outputs from its code."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from comparisons import page, readme_gpu
from comparisons.cost.leads import FASTER, LIGHTER, judged
from comparisons.gradients.tables import gradient_grid, precision_grid, second_order_grid
from comparisons.higher_order.cost_tables import published
from comparisons.memory.fits import tables as fit_tables
from comparisons.memory.tables import PHASES
from comparisons.mutants.tables import tables as mutant_tables
from comparisons.page import schema
from comparisons.problems import BEYOND
from comparisons.rows import Row, Table
from comparisons.scenarios import REFERENCE

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


def limits() -> str:
    from comparisons.higher_order.limits import table  # the frameworks, whose losses these are

    found = table([row for row in _load("cpu")["higher_order"] if row["kind"] == "limit"])
    return f"{found.markdown()}\n\n{found.title[:1].upper()}{found.title[1:]}."


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
    what = f"many_heads ({own[0]['size']}), bytes"
    table = Table("", [what, "PyTorch holds", "its peak", "JAX holds", "its plan"], lines)
    return "\n\n".join([table.markdown(), *_swept(every), *_looking(every)])


def _swept(rows: list[Row]) -> list[str]:
    own = [row for row in rows if row.get("sweep")]
    configurations, equal = len({row["sweep"] for row in own}), sum(row["bytes"] == row["predicted"] for row in own)
    return [f"Over {configurations} sizes, {equal} of {len(own)} are equal to the byte."] if own else []


def _looking(rows: list[Row]) -> list[str]:
    times = {row["framework"]: f"{row['ratio']:.2f}" for row in rows if row.get("phase") == "recording"}
    said = "A step of many_heads whose held bytes are recorded takes {torch} times as long in PyTorch, {jax} in JAX."
    return [said.format(**times)] if times else []


def fits() -> str:
    """What fits, and why no strategy does that gives each loss its gradient."""
    rows = _load("gpt2_xl")["memory"]
    each = next(row for row in rows if row["strategy"] == REFERENCE and "output" in row)
    told = [f"{table.title}.\n\n{table.markdown()}" for table in fit_tables(rows)]
    if each["output"] > each["limit"]:
        count = BEYOND["gpt2-xl"]["transformer"]["losses"]
        told.append(
            f"A gradient for each of {count} losses does not fit: the gradients alone are {each['output']:,} B."
        )
    return "\n\n".join(told)


def gpu() -> str:
    return readme_gpu.text(_load("h200"), "results/h200.json")


def peers() -> str:
    """A line a regime and number of losses; a column a target, which its title states. Others' misses stand below."""
    ours = f"our fastest within a peak, against torchjd's fastest: {FASTER}x at its peak; compute, 1x at {LIGHTER:.0%}"
    found: dict[str, dict[str, str]] = {}
    missed: dict[str, list[str]] = {}
    for target, where, verdict, measured, _ in judged(_load("peers")["cost"]):
        found.setdefault(where, {})[target] = f"{measured} ({verdict})"
        if verdict == "missed":
            missed.setdefault(target, []).append(f"{where} ({measured})")
    columns = {
        "torchjd's calls that are both faster and lighter than our fastest: none": ("no call of torchjd",),
        ours: (f"{FASTER}x faster than torchjd", "no slower than torchjd"),
        f"`gram` against its engine: {FASTER}x, no heavier": ("gram",),
    }
    lines = [
        [where, *(next((t for name, t in told.items() if name.startswith(s)), "no target") for s in columns.values())]
        for where, told in found.items()
    ]
    shown = tuple(start for starts in columns.values() for start in starts)
    told = [f"{target}: {', '.join(places)}" for target, places in missed.items() if not target.startswith(shown)]
    return f"{Table('', ['where', *columns], lines).markdown()}\n\nOf other targets, missed: {'; '.join(told)}."


def products() -> str:
    table = published(_load("cpu")["higher_order"])
    return Table("", table.header[:-1], [line[:-1] for line in table.lines]).markdown()


def lifetime_strip() -> str:
    """The picture: what each side holds at each moment of two losses' gradients."""
    (run,) = page.read([ROOT / "results" / "cpu.json"])
    return page.picture(run, "per_loss_retained")


HELD = ("summed", "per_loss_retained", "per_loss_recomputed", "per_loss_batched")
PARTS = (grid, second_order, limits, precision, environment, memory, fits, peers, products, gpu, mutants, speed)
MAKERS: dict[str, Callable[[], str]] = {part.__name__: part for part in PARTS}


def _load(name: str) -> dict:
    return json.loads((ROOT / "results" / f"{name}.json").read_text())


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(rewritten(readme.read_text()))
    PICTURE.write_text(lifetime_strip())
    (ROOT / "results" / "README.md").write_text(schema.markdown())
