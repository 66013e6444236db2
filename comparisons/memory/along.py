"""Curves of `many_heads`: what is held, and what the peak adds, as losses, depth and batch grow, by simulation."""

from functools import partial

from comparisons.memory import predictions, simulated
from comparisons.memory.ledger import judged
from comparisons.memory.predictions import Sizes
from comparisons.problems import many_heads
from comparisons.rows import Row, Unit, failed

BASE = Sizes(batch=64, width=32, depth=2, losses=4)
AXES = {"losses": (2, 4, 8), "depth": (1, 2, 4), "batch": (16, 64, 256)}
STRATEGIES = ("summed", "per_loss_retained", "per_loss_batched", "per_loss_chunked")
PLANNED = {("per_loss_batched", 4), ("per_loss_batched", 8), ("per_loss_chunked", 4), ("per_loss_chunked", 8)}


def units() -> list[Unit]:
    """One unit for each axis and strategy."""
    return [
        Unit("memory", "curves", f"many_heads by {axis}  {strategy}", partial(rows, axis, strategy))
        for axis in AXES
        for strategy in STRATEGIES
    ]


def rows(axis: str, strategy: str) -> list[Row]:
    """Both sides at every value of the axis."""
    found: list[Row] = []
    for value in AXES[axis]:
        for part in (_torch, _jax):
            try:
                found += part(axis, value, strategy, BASE._replace(**{axis: value}))
            except Exception as error:
                found.append(failed(_head(axis, value, strategy, part.__name__[1:], ""), error))
    return found


def _torch(axis: str, value: int, strategy: str, sizes: Sizes) -> list[Row]:
    shapes = many_heads(**sizes._asdict(), seed=None)
    marks, peak, arguments, _ = simulated.in_torch("many_heads", shapes, strategy)
    found = _held(axis, value, strategy, "torch", marks, sizes)
    row = _head(axis, value, strategy, "torch", "peak")
    return [*found, row | {"bytes": peak + arguments, "beyond": peak - _results(strategy, sizes, shapes)}]


def _jax(axis: str, value: int, strategy: str, sizes: Sizes) -> list[Row]:
    shapes = many_heads(**sizes._asdict(), seed=None)
    found: list[Row] = []
    if predictions.phase("jax", strategy, "forward", sizes) is not None:
        marks, *_ = simulated.in_jax("many_heads", shapes, strategy)
        found = _held(axis, value, strategy, "jax", marks, sizes)
    if axis == "losses" and (strategy, value) in PLANNED:
        plan = simulated.plan("many_heads", shapes, strategy)
        row = _head(axis, value, strategy, "jax", "plan") | {"kind": "planned", "bytes": plan.peak}
        found.append(row | {"beyond": plan.peak - plan.argument - plan.output})
    return found


def _held(axis: str, value: int, strategy: str, framework: str, marks: list, sizes: Sizes) -> list[Row]:
    row = _head(axis, value, strategy, framework, "forward") | {"bytes": marks[0][1]}
    return [judged(row, predictions.phase(framework, strategy, "forward", sizes), "the closed form")]


def _results(strategy: str, sizes: Sizes, shapes) -> int:
    gradient = 4 * sum(value.size for value in shapes.params.values())
    return gradient * (1 if strategy == "summed" else sizes.losses)


def _head(axis: str, value: int, strategy: str, framework: str, phase: str) -> Row:
    return {
        "id": f"memory/curves/{axis}/{value}/{strategy}/{framework}/{phase}",
        "problem": "many_heads",
        "curve": axis,
        "at": value,
        "strategy": strategy,
        "framework": framework,
        "device": "cpu",
        "phase": phase,
        "kind": "simulated",
        "status": "ok",
    }
