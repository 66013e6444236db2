"""Where the time goes: inside products or beside them, by each framework's own profiler."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax
from torch.autograd.profiler_legacy import profile

from comparisons.higher_order.programs import Program
from comparisons.rows import Row

PRODUCTS = re.compile(r"aten::(mm|bmm|addmm|baddbmm|mkldnn_convolution|convolution\w*|_convolution\w*|mv|dot)$")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \([^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = .*?[\])}] ([\w-]+)\((.*)$", re.MULTILINE)
CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.-]+)")


def cause(gradient: Program, product: Program, row: Row, device: str) -> str:
    """Why a product is slower than its FLOPs say: how its time divides, beside the gradient's, as text."""
    if device != "cpu":
        return "not profiled on a GPU"
    shares = profile_torch if row["framework"] == "torch" else profile_jax
    before, after = shares(gradient), shares(product)
    inside = after["products"] / before["products"]
    beside = {name: sum(s.values()) - s["products"] for name, s in (("gradient", before), ("product", after))}
    total = {name: sum(s.values()) for name, s in (("gradient", before), ("product", after))}
    rest = Counter({name: seconds for name, seconds in after.items() if name != "products"})
    largest = ", ".join(f"{name} {seconds / total['product']:.0%}" for name, seconds in rest.most_common(3))
    return (
        f"products take {inside:.2f} of the gradient's, for {row['flop_ratio']:.2f} the FLOPs; "
        f"{beside['product'] / total['product']:.0%} of the time is beside products (gradient: "
        f"{beside['gradient'] / total['gradient']:.0%}), most in {largest}"
    )


def profile_torch(program: Program, repeats: int = 3) -> Counter:
    """Seconds of each operator's own work, all products as one.

    The profiler that prints nothing. Of a compiled graph it sees products, and the rest as time beside them.
    """
    with profile() as recorded:
        for _ in range(repeats):
            program.call()
    found: Counter = Counter()
    for event in recorded.key_averages():
        name = "products" if PRODUCTS.match(event.key) else event.key
        found[name] += event.self_cpu_time_total / 1e6 / repeats
    return found


def profile_jax(program: Program, repeats: int = 3) -> Counter:
    """Seconds of each of XLA's instructions on all threads, products as one, from the trace that JAX writes."""
    products = in_products(program.text)
    found: Counter = Counter()
    for plane in _traced(program.call, repeats).planes:
        for line in plane.lines:
            for event in line.events:
                stats = dict(event.stats)
                if "hlo_op" in stats:
                    op = str(stats["hlo_op"])
                    name = "products" if op in products else re.sub(r"[.\d]+$", "", op)
                    found[name] += event.duration_ns / 1e9 / repeats
    return found


def in_products(text: str) -> set[str]:
    """The instructions of a compiled program that are a product, or a fusion or a call with one inside."""
    bodies = {name: INSTRUCTION.findall(body) for name, body in COMPUTATION.findall(text)}

    def holds(opcode: str, rest: str) -> bool:
        inside = [line for called in CALLED.findall(rest) for line in bodies.get(called, [])]
        return opcode in ("dot", "convolution") or any(holds(*line[1:]) for line in inside)

    return {name for lines in bodies.values() for name, *line in lines if holds(*line)}


def _traced(call: Callable[[], object], repeats: int):
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(repeats):
                call()
        return jax.profiler.ProfileData.from_file(str(next(Path(folder).rglob("*.xplane.pb"))))
