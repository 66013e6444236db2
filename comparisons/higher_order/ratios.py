"""What a product with the Hessian costs in terms of a gradient: FLOPs, time and peak, for three modes on each side."""

from functools import partial
from statistics import median

import torch

from comparisons.cost.timing import interleaved, ratio
from comparisons.frameworks import jax_scope
from comparisons.higher_order import counts, held, profiles, programs
from comparisons.higher_order.cost_tables import NETWORKS
from comparisons.higher_order.programs import GRADIENT, Program
from comparisons.memory.sides import DTYPE
from comparisons.pitfalls.compiled import compiler
from comparisons.problems import BUILD
from comparisons.rows import Row, Unit, failed

SIZES: dict[str, dict[str, dict[str, int]]] = {  # products, not elementwise work, take most of the default's time
    "many_heads": {
        "tiny": {"batch": 8, "width": 8, "depth": 2, "losses": 2},
        "default": {"batch": 512, "width": 384, "depth": 3, "losses": 4},
        "large": {"batch": 8192, "width": 4096, "depth": 4, "losses": 4},
    },
    "conv": {
        "tiny": {"batch": 4, "width": 4},
        "default": {"batch": 64, "width": 32},
        "large": {"batch": 1797, "width": 256},
    },
    "attention": {
        "tiny": {"batch": 4, "width": 8, "depth": 1},
        "default": {"batch": 32, "width": 256, "depth": 1},
        "large": {"batch": 1797, "width": 1024, "depth": 4},
    },
}
WAYS = {
    "eager": ("torch", programs.eager),
    "compile": ("torch", programs.compiled),
    "jit": ("jax", programs.jitted),
}
TARGETED, TARGET = ("many_heads", "attention"), 0.8


def units(full: bool = False, device: str = "cpu", size: str = "default") -> list[Unit]:
    """One unit for each network and way; compiled PyTorch only in the full run. A GPU's default networks are large."""
    size = "large" if device == "cuda" and size == "default" else size
    return [
        Unit("higher_order", "cost", f"products  {NETWORKS[name]}  {way}", partial(rows, name, way, size, device))
        for name in SIZES
        for way in WAYS
        if full or way != "compile"
    ]


def rows(name: str, way: str, size: str, device: str = "cpu", seconds: float = 0.5) -> list[Row]:
    """A row for the gradient and for each mode; of `jit` and `eager` also what is held."""
    framework, build = WAYS[way]
    head: Row = {"id": f"higher_order/cost/{name}/{size}/{device}/{way}", "kind": "cost", "problem": name, "size": size}
    head |= {"framework": framework, "mode": way, "device": device, "order": 2, "status": "ok"}
    if way == "compile" and device == "cpu" and not compiler():
        return [head | {"status": "not_measured", "reason": "no C++ compiler"}]
    problem = BUILD[name](**SIZES[name][size])
    try:
        with jax_scope(DTYPE, device), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found = _measured(head, build(name, problem, device), problem, seconds)
            return found + (held.rows(framework, name, problem, found) if way != "compile" else [])
    except Exception as error:  # whatever a framework raises is this network's result
        return [failed(head, error) | ({"status": "unsupported"} if way == "compile" else {})]


def _measured(head: Row, made: dict[str, Program], problem, seconds: float) -> list[Row]:
    samples = interleaved({run: program.call for run, program in made.items()}, seconds)
    found: list[Row] = []
    for run, program in made.items():
        row = head | {"id": f"{head['id']}/{run}", "strategy": run, "flops": program.flops(), "peak": program.peak()}
        row |= {"seconds": median(samples[run]), "compile_seconds": program.compile_seconds}
        row |= {"threads": torch.get_num_threads() if head["framework"] == "torch" else None}
        row["predicted"] = counts.predicted(head["mode"], run, head["problem"], problem)
        if row["flops"] != row["predicted"]:
            row |= {"status": "differs", "reason": f"{row['flops']:,} FLOPs; predicted {row['predicted']:,}"}
        if run != GRADIENT:
            base, time = found[0], ratio(samples, run, GRADIENT)
            row |= {
                "time_ratio": time.median,
                "spread": [time.low, time.high],
                "peak_ratio": row["peak"] / base["peak"],
            }
            count = row["flops"] / base["flops"]
            row |= {"flop_ratio": count, "achieved": count / time.median}
        found.append(row)
    for row in found[1:]:
        if head["problem"] in TARGETED:
            row |= {"target": TARGET, "met": row["achieved"] >= TARGET}
            if not row["met"]:
                row["cause"] = profiles.cause(made[GRADIENT], made[row["strategy"]], row, head["device"])
    fastest = min(found[1:], key=lambda row: row["time_ratio"])
    fastest["fastest"] = True
    return found
