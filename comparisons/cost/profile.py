"""Where the time goes: in products and convolutions, or beside them, by each framework's own profiler, on the CPU."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from torch.autograd import profiler_legacy

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn_convolution", "convolution_backward", "dot", "mv")
HLO_PRODUCT = re.compile(r"= \S+ (dot|convolution)\(|custom_call_target=\"\S*(matmul|conv|dot)")
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.-]+) = .*?(?:calls=%?(?P<called>[\w.-]+)|$)")


class Share(NamedTuple):
    """The part of a call's busy time that is spent in products, and the largest part of the rest by name."""

    products: float
    other: str
    other_share: float


def in_torch(run: Callable[[], object], repeats: int = 3) -> Share:
    """Operators' own time. `torch.profiler` counts the same, takes a second to start and writes to stderr."""
    with profiler_legacy.profile() as found:
        for _ in range(repeats):
            run()
    spent = Counter({event.key.removeprefix("aten::"): event.self_cpu_time_total for event in found.key_averages()})
    return _share(spent, lambda name: name in PRODUCTS)


def in_jax(run: Callable[[], object], text: str, repeats: int = 3) -> Share:
    """The compiled program's instructions, by the trace; `text` is its HLO, which says which hold a product."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(repeats):
                run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    products, names = instructions(text)
    spent: Counter[str] = Counter()
    for plane in data.planes:
        for line in plane.lines:
            for event in line.events:
                if event.name in names:
                    spent[event.name] += event.duration_ns
    return _share(spent, products.__contains__)


def instructions(text: str) -> tuple[set[str], set[str]]:
    """The instructions of the entry computation that hold a product or a convolution, and all of them."""
    bodies: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            name = line.removeprefix("ENTRY ").split(" ")[0].lstrip("%")
            entry = name if line.startswith("ENTRY") else entry
        bodies.setdefault(name, []).append(line)

    def holds(line: str) -> bool:
        called = re.findall(r"(?:calls|body|to_apply)=%?([\w.-]+)", line)
        return bool(HLO_PRODUCT.search(line)) or any(holds(inner) for c in called for inner in bodies.get(c, ())[1:])

    found = {m["name"]: holds(line) for line in bodies.get(entry, ()) if (m := INSTRUCTION.match(line))}
    return {name for name, held in found.items() if held}, set(found)


def _share(spent: Counter[str], is_product: Callable[[str], bool]) -> Share:
    total = sum(spent.values()) or 1
    rest: Counter[str] = Counter()
    for name, value in spent.items():
        if not is_product(name):
            rest[re.sub(r"[.\d]+$", "", name)] += value
    other, most = rest.most_common(1)[0] if rest else ("", 0)
    return Share(1 - sum(rest.values()) / total, other, most / total)
