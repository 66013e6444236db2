"""The cost of looking: how much slower a step is while its held bytes are recorded."""

from collections.abc import Callable
from functools import partial

import jax
import torch

import jax_impl.memory
import torch_impl.cost
import torch_impl.memory
from comparisons.cost.timing import interleaved, ratio
from comparisons.frameworks import jax_scope
from comparisons.memory import sides
from comparisons.problems import problem
from comparisons.rows import Row, Unit, failed


def units(device: str) -> list[Unit]:
    """One unit a side."""
    return [
        Unit("memory", "looking", f"recording  {side}", partial(rows, side, calls, device), 8, timed=True)
        for side, calls in (("torch", in_torch), ("jax", in_jax))
    ]


def rows(framework: str, calls: Callable[[str], dict], device: str, seconds: float = 1.0) -> list[Row]:
    """A recorded step in terms of the same step without."""
    row = {"id": f"memory/recording/{device}/{framework}", "problem": "many_heads", "framework": framework}
    row |= {"device": device, "phase": "recording", "kind": "observed", "status": "ok"}
    try:
        with jax_scope(sides.DTYPE, device):
            found = ratio(interleaved(calls(device), seconds), "recorded", "not recorded")
    except Exception as error:
        return [failed(row, error)]
    return [row | {"ratio": found.median, "low": found.low, "high": found.high}]


def in_torch(device: str = "cpu") -> dict[str, Callable[[], object]]:
    """A forward and a backward of the sum."""
    side = sides.torch_side("many_heads", problem("many_heads"), "summed", device)

    def step():
        total = sum(side.losses(side.params).values())
        torch_impl.cost.ready(torch.autograd.grad(total, list(side.params.values())))

    def recorded():
        with torch_impl.memory.held(side.params, side.batch) as ledger:
            step()
        return ledger.bytes

    return {"not recorded": step, "recorded": recorded}


def in_jax(device: str = "cpu") -> dict[str, Callable[[], object]]:
    """A compiled pullback, made and pulled: the recorder takes weak references to what came out."""
    side = sides.jax_side("many_heads", problem("many_heads"))
    pull = jax.jit(lambda pullback, cotangents: pullback(cotangents))

    def step(look: bool = False):
        values, pullback = jax_impl.memory.compiled_vjp(side.losses, side.params)
        ledger = jax_impl.memory.held(pullback, side.batch) if look else None
        jax.block_until_ready(pull(pullback, jax.tree.map(jax.numpy.ones_like, values)))
        return ledger and ledger.bytes

    return {"not recorded": step, "recorded": partial(step, look=True)}
