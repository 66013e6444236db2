"""What stays alive between the passes of a product: `create_graph`'s two recordings, and what a pullback would keep."""

from importlib import import_module

import jax
import jax.numpy as jnp

import jax_impl.higher_order
import jax_impl.memory
import torch_impl.first_order
import torch_impl.higher_order
import torch_impl.memory
from comparisons.higher_order.counts import MODES
from comparisons.memory import sides
from comparisons.problems import Problem
from comparisons.rows import Row
from jax_impl.higher_order.tree import inner

REASONS = {
    "torch": "inside torch.func: hooks see no saved tensor there",
    "jax": "no pullback is differentiated: residuals and their tangents live and die together inside one program",
}


def rows(framework: str, name: str, problem: Problem, costs: list[Row]) -> list[Row]:
    """For each measured run: held bytes, beside the peak that its cost row has.

    PyTorch's are observed when the second backward begins; JAX's are planned, from the trace of the pullback that the
    last pass pulls. A peak below what is held at once would be a wrong instrument.
    """
    take = _torch if framework == "torch" else _jax
    found = []
    for cost in costs:
        run, size = cost["strategy"], take(name, problem, cost["strategy"], cost["device"])
        row = {key: cost[key] for key in ("problem", "size", "framework", "mode", "device", "order", "strategy")}
        row |= {"id": cost["id"].replace("/cost/", "/memory/"), "kind": "memory", "bytes": size, "peak": cost["peak"]}
        row |= {"observed": framework == "torch", "status": "ok"}
        if size is None:
            row |= {"status": "unsupported", "reason": REASONS[framework]}
        elif framework == "torch" and cost["peak"] < size:
            row |= {"status": "differs", "reason": f"the peak of {run} is below the {size:,} B that are held at once"}
        found.append(row)
    return found


def _torch(name: str, problem: Problem, run: str, device: str) -> int | None:
    """The most that saved tensors held at any mark: after the forward, after each backward."""
    if run in MODES[:2]:
        return None
    side = sides.torch_side(name, problem, "directional", device)
    losses = torch_impl.higher_order.total(side.losses)
    ledger = torch_impl.memory.held([side.params, side.rest], side.batch)
    with ledger, torch_impl.memory.phases(ledger) as marks:
        if run in MODES:
            torch_impl.higher_order.hvp_reverse_over_reverse(losses, side.params, *side.rest)
        else:
            torch_impl.first_order.summed(losses, side.params)
    return max(size for _, size in marks)


def _jax(name: str, problem: Problem, run: str, device: str) -> int | None:
    side = sides.jax_side(name, problem)
    (along,) = sides.jax_rest(problem, "directional")
    model = import_module(f"jax_impl.models.{name}")
    loss = lambda p: jnp.sum(jnp.stack(list(model.losses(side.batch)(p).values())))  # noqa: E731
    pulled = {
        "summed": loss,
        "hvp_reverse_over_forward": lambda p: jax.jvp(loss, (p,), (along,))[1],
        "hvp_reverse_over_reverse": lambda p: inner(jax.grad(loss)(p), along),
    }
    if run not in pulled:
        return None
    return sum(kept.bytes for kept in jax_impl.memory.residuals(pulled[run], side.params) if kept.kind == "activation")
