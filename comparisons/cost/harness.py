"""What the measurement itself adds, and whether both frameworks run on as many cores."""

from collections.abc import Callable
from time import perf_counter, process_time

import jax
import torch

import torch_impl.first_order
from comparisons.cost import calls
from comparisons.cost.regimes import place
from comparisons.cost.timing import interleaved, ratio
from comparisons.memory import sides
from comparisons.rows import Row, failed
from comparisons.scenarios import REFERENCE

AT = place("overhead", 8)


def rows(device: str = "cpu", seconds: float = 2, rounds: int = 15) -> list[Row]:
    """A row a framework: a timed call in terms of the strategy called by hand, and the cores kept busy."""
    found = []
    for framework, bare, mode, product in (("torch", in_torch, "eager", _torch), ("jax", in_jax, "jit", _jax)):
        row: Row = {"id": f"cost/harness/{device}/{framework}", "kind": "harness", "framework": framework}
        row |= {"mode": mode, "device": device, "strategy": REFERENCE, "status": "ok"}
        try:
            with calls.scope(device) as cores:
                timed = {"bare": bare(device), "timed": calls.MODES[mode][1](AT, REFERENCE, device).run}
                added = ratio(interleaved(timed, seconds, rounds), "timed", "bare")
                row |= {"time_ratio": added.median, "spread": [added.low, added.high]}
                row |= {"cores": cores, "cores_busy": busy(product(device)) if device == "cpu" else None}
            found.append(row)
        except Exception as error:
            found.append(failed(row, error))
    return found


def in_torch(device: str) -> Callable[[], object]:
    """The strategy called by hand, with nothing around."""
    side = sides.torch_side(AT.name, AT.stated, device=device)

    def bare():
        grads = torch_impl.first_order.per_loss_retained(side.losses, side.params)
        if device == "cuda":
            torch.cuda.synchronize()
        return grads

    return bare


def in_jax(device: str) -> Callable[[], object]:
    """The compiled program and `block_until_ready`, with nothing around."""
    made = calls.program(AT, REFERENCE, device)
    return lambda: jax.block_until_ready(made.run(*made.arguments))


def busy(call: Callable[[], object], repeats: int = 10) -> float:
    """Processor seconds of this process for each second: the cores that a call keeps busy."""
    call()
    wall, used = perf_counter(), process_time()
    for _ in range(repeats):
        call()
    return (process_time() - used) / (perf_counter() - wall)


def _torch(device: str, width: int = 512) -> Callable[[], object]:
    square = torch.ones(width, width, device=device)
    return lambda: square @ square


def _jax(device: str, width: int = 512) -> Callable[[], object]:
    square, product = jax.numpy.ones((width, width)), jax.jit(lambda a: a @ a)
    return lambda: jax.block_until_ready(product(square))
