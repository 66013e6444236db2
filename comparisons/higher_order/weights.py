"""GradNorm's weights: the recorded form beside the detached one: one gradient, and what recording it costs.

FLOPs are counted and peaks are bytes beyond the arguments: PyTorch's allocations as they happen, JAX's plan of the
compiled program.
"""

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple

import jax
import numpy as np

import jax_impl.cost
import jax_impl.memory
import torch_impl.cost
import torch_impl.memory
from comparisons.difference import TOLERANCE
from comparisons.frameworks import jax_scope
from comparisons.higher_order.judge import SIDES, jax_arrays, judged, relative, tensors
from comparisons.layout import to_flax
from comparisons.problems import Problem, many_heads, problem
from comparisons.rows import Row, Table, Unit, failed

KINDS = ("weights",)
FORMS = ("grad_norm", "grad_norm_detached")
PROBLEMS: dict[str, Callable[[], Problem]] = {
    "digits": partial(problem, "digits"),
    "many_heads": partial(many_heads, batch=128, width=64, depth=4, losses=4),
}


class Measured(NamedTuple):
    """The weights' gradient in the order of the losses, FLOPs, and the peak beyond the arguments."""

    gradient: np.ndarray
    flops: int
    peak: int


def given(name: str) -> list[dict[str, np.ndarray]]:
    """Weights, and the losses' values at the start of training."""
    rng, losses = np.random.default_rng(0), PROBLEMS[name]().losses
    return [dict(zip(losses, map(np.array, values), strict=True)) for values in rng.uniform(0.5, 2, (2, len(losses)))]


def in_torch(name: str, form: str) -> Measured:
    stated = PROBLEMS[name]()
    weights, initial = given(name)
    params, batch = tensors(stated.params, leaves=True), tensors(stated.batch)
    losses = import_module(f"torch_impl.models.{name}").losses(batch)
    arguments = params, tensors(weights, leaves=True), tensors(initial), shared(params)
    run: Callable = partial(getattr(SIDES["torch"], form), losses, *arguments)
    gradient = np.array([run()[loss].item() for loss in weights])
    return Measured(gradient, torch_impl.cost.flops(run), torch_impl.memory.peak(run))


def in_jax(name: str, form: str) -> Measured:
    stated = PROBLEMS[name]()
    with jax_scope("float64", "cpu"):
        flax = to_flax(stated.params, stated.layout)
        arguments = [jax_arrays(a) for a in (stated.batch, flax, *given(name))]
        model, take = import_module(f"jax_impl.models.{name}"), getattr(SIDES["jax"], form)
        run = lambda batch, params, *rest: take(model.losses(batch), params, *rest, shared(params))  # noqa: E731
        program = jax.jit(run).lower(*arguments).compile()
        plan, found = jax_impl.memory.peak(program), program(*arguments)
        flops = jax_impl.cost.flops(run, *arguments)
    return Measured(np.array([found[loss] for loss in stated.losses]), flops, plan.peak - plan.argument)


def shared(params: dict[str, Any]) -> list[str]:
    return [name for name in params if name.startswith("trunk")]


def units() -> list[Unit]:
    return [Unit("higher_order", "weights", f"weights  {name}", partial(rows, name)) for name in PROBLEMS]


def rows(name: str) -> list[Row]:
    """Each form against torch's recorded one, and a row a side with the detached form's share of FLOPs and peak."""
    measured = cache(lambda side, form: {"torch": in_torch, "jax": in_jax}[side](name, form))
    found = []
    for side in SIDES:
        for form in FORMS:
            row: Row = {"id": f"higher_order/weights/{name}/{side}/{form}", "kind": "weights", "problem": name}
            row |= {"framework": side, "form": form, "order": 2 - FORMS.index(form)}
            expected = partial(measured, "torch", "grad_norm")
            row = judged(row, lambda: relative(measured(side, form).gradient, expected().gradient), TOLERANCE)
            if "error" in row:
                row |= {"flops": measured(side, form).flops, "peak": measured(side, form).peak}
            found.append(row)
        found.append(_ratio(name, side, *found[-2:]))
    return found


def _ratio(name: str, side: str, recorded: Row, detached: Row) -> Row:
    """The detached form's share; `differs` where it costs no less."""
    row: Row = {"id": f"higher_order/weights/{name}/{side}/share", "kind": "weights", "problem": name}
    row |= {"framework": side, "form": "share", "status": "ok"}
    if "flops" not in recorded or "flops" not in detached:
        return failed(row, ValueError("one of the forms failed"))
    row |= {key: detached[key] / recorded[key] for key in ("flops", "peak")}
    if max(row["flops"], row["peak"]) >= 1:
        row |= {"status": "differs", "reason": "the detached form costs no less"}
    return row


def table(rows: list[Row]) -> Table:
    cells = {(row["problem"], row["framework"], row["form"]): row for row in rows}
    lines = []
    for name, side in dict.fromkeys((row["problem"], row["framework"]) for row in rows):
        forms = [cells[name, side, form] for form in (*FORMS, "share")]
        error = max((row["error"] for row in forms if "error" in row), default=np.inf)
        bad = any(row["status"] != "ok" for row in forms)
        share = forms[-1]
        shown = [f"{share[key]:.2f}" if key in share else "FAILED" for key in ("flops", "peak")]
        lines.append([name, side, f"{'DIFFERS ' * bad}{error:.0e}", *shown])
    header = ["GradNorm on", "side", "same gradient", "detached: FLOPs", "peak"]
    return Table("the detached form's share of the recorded one", header, lines)
