"""FLOPs, noise-free: counted on both sides, beside theory and beside XLA's own analysis."""

from collections.abc import Iterable
from functools import partial

import jax_impl.cost
import torch_impl.cost
from comparisons.cost import theory
from comparisons.frameworks import compiled, jax_scope
from comparisons.memory import sides
from comparisons.problems import SIZES, problem
from comparisons.rows import Row, Unit, failed
from comparisons.scenarios import REFERENCE, STRATEGIES

SIZE = "default"
ANALYSED = {  # without `full`: a program for each that sets XLA's figure apart
    "conv": (REFERENCE,),
    "recurrent": (REFERENCE,),
    "many_heads": ("summed", "summed_checkpointed", REFERENCE, "per_loss_chunked"),
}


def units(problems: Iterable[str], strategies: Iterable[str], full: bool) -> list[Unit]:
    """One unit for each problem and framework."""
    chosen = [name for name in STRATEGIES if not strategies or name in {"summed", *strategies}]
    found = []
    for name in SIZES:
        analysed = chosen if full else ANALYSED.get(name, ())
        for framework in ("torch", "jax") if not problems or name in problems else ():
            work = partial(rows, framework, name, chosen, SIZE, analysed)
            found.append(Unit("cost", "flops", f"flops  {name}  {framework}", work, 1.5))
    return found


def rows(
    framework: str, name: str, strategies: Iterable[str], size: str = SIZE, analysed: Iterable[str] = ()
) -> list[Row]:
    """A problem's strategies on one side: FLOPs counted, predicted, and in terms of the summed gradient's.

    The `analysed` ones are compiled as well, for XLA's figure.
    """
    found: list[Row] = []
    for strategy in strategies:
        row: Row = {
            "id": f"cost/flops/{name}/{strategy}/{size}/{framework}",
            "kind": "flops",
            "problem": name,
            "strategy": strategy,
            "framework": framework,
            "size": size,
            "status": "ok",
        }
        try:
            found.append(_judged(row | {"flops": count(framework, name, strategy, size)}))
            if framework == "jax" and strategy in analysed:
                found[-1] = _beside(found[-1], analysis(name, strategy, size))
        except Exception as error:  # whatever a framework raises is this strategy's result
            found.append(failed(row, error))
    summed = next((row["flops"] for row in found if row["strategy"] == "summed" and "flops" in row), None)
    return [row | {"flop_ratio": row["flops"] / summed} if summed and "flops" in row else row for row in found]


def count(framework: str, name: str, strategy: str, size: str) -> int:
    """Nothing is computed: PyTorch dispatches tensors without memory, JAX's jaxpr is read.

    PyTorch's in float64: a float32 LSTM or attention is one fused operator on a CPU, and not counted alike.
    """
    stated = problem(name, size)
    if framework == "torch":
        return torch_impl.cost.flops(sides.run(strategy, sides.torch_side(name, stated, strategy, "meta", "float64")))
    with jax_scope("float32", "cpu"):
        side = sides.jax_side(name, stated)
        return jax_impl.cost.flops(compiled(name, strategy), side.batch, side.params, *sides.jax_rest(stated, strategy))


def analysis(name: str, strategy: str, size: str) -> int:
    """XLA's `cost_analysis` of the compiled float32 program."""
    stated = problem(name, size)
    with jax_scope("float32", "cpu"):
        side = sides.jax_side(name, stated)
        program = compiled(name, strategy).lower(side.batch, side.params, *sides.jax_rest(stated, strategy))
        return int(program.compile().cost_analysis()["flops"])


def _judged(row: Row) -> Row:
    expected, why = theory.predicted(row["framework"], row["strategy"], theory.parts(row["problem"], row["size"]))
    row |= {"predicted": expected, "why": why}
    if expected not in (None, row["flops"]):
        row |= {"status": "differs", "reason": f"{row['flops']:,} FLOPs, but theory says {expected:,}"}
    return row


def _beside(row: Row, found: int) -> Row:
    """The row with XLA's figure and what sets it apart."""
    names = theory.xla_deviations(row["problem"], row["strategy"])
    row |= {"xla": found, "xla_ratio": found / row["flops"], "xla_why": "; ".join(names)}
    if names == [theory.ELEMENTWISE] and found < row["flops"]:
        row |= {"status": "differs", "reason": f"XLA's {found:,} FLOPs are fewer than the {row['flops']:,} counted"}
    return row
