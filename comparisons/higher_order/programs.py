"""One gradient and three products, ready to be timed: in eager PyTorch, compiled PyTorch, and jitted JAX."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import Any, NamedTuple

import jax
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import jax_impl.cost
import jax_impl.first_order
import jax_impl.higher_order
import jax_impl.memory
import torch_impl.cost
import torch_impl.first_order
import torch_impl.higher_order
import torch_impl.memory
from comparisons.higher_order.counts import MODES
from comparisons.memory import sides
from comparisons.problems import Problem
from torch_impl.higher_order.tree import inner

GRADIENT = "summed"
RUNS = (GRADIENT, *MODES)


class Program(NamedTuple):
    """`call()` gives the result once it is there; `flops()` and `peak()` (bytes, arguments included) measure it."""

    call: Callable[[], object]
    flops: Callable[[], int]
    peak: Callable[[], int]
    compile_seconds: float | None = None
    text: str = ""


def eager(name: str, problem: Problem, device: str) -> dict[str, Program]:
    """PyTorch as it stands; the gradient is `backward` of the sum."""
    side = sides.torch_side(name, problem, "directional", device)
    losses = torch_impl.higher_order.total(side.losses)
    runs: dict[str, Callable] = {GRADIENT: partial(torch_impl.first_order.summed, losses, side.params)}
    for mode in MODES:
        runs[mode] = partial(getattr(torch_impl.higher_order, mode), losses, side.params, *side.rest)
    return {run: _torch(call, partial(torch_impl.cost.flops, call), side, device) for run, call in runs.items()}


def compiled(name: str, problem: Problem, device: str) -> dict[str, Program]:
    """The same four in `torch.func`, traced to one graph each and compiled: parameters and batch are its arguments.

    FLOPs are those of the graph that the compiler is given, without dead code.
    """
    side = sides.torch_side(name, problem, "directional", device)
    model = import_module(f"torch_impl.models.{name}")
    arguments = ({key: p.detach() for key, p in side.params.items()}, side.batch, *side.rest)

    def program(derivative: Callable) -> Program:
        def taken(params, batch, direction):
            losses = model.losses(batch)
            with torch_impl.higher_order.composed():
                return derivative(lambda p: sum(losses(p).values()), params, direction)

        start = perf_counter()
        graph = make_fx(taken)(*arguments)
        graph.graph.eliminate_dead_code()
        graph.recompile()
        torch.compiler.reset()
        call = partial(torch.compile(graph, fullgraph=True), *arguments)
        torch_impl.cost.ready(call())
        made = _torch(call, partial(torch_impl.cost.flops, graph, *arguments), side, device)
        return made._replace(compile_seconds=perf_counter() - start)

    return {run: program(derivative) for run, derivative in FUNCTIONAL.items()}


def jitted(name: str, problem: Problem, device: str) -> dict[str, Program]:
    """JAX under `jit`: parameters, batch and direction are arguments, and the scope is the caller's."""
    functions, arguments = jax_functions(name, problem)

    def program(function: Callable) -> Program:
        start = perf_counter()
        made = jax.jit(function).lower(*arguments).compile()
        seconds = perf_counter() - start
        flops = partial(jax_impl.cost.flops, function, *arguments)
        peak = lambda: jax_impl.memory.peak(made).peak  # noqa: E731
        return Program(lambda: jax_impl.cost.ready(made(*arguments)), flops, peak, seconds, made.as_text())

    return {run: program(function) for run, function in functions.items()}


def jax_functions(name: str, problem: Problem) -> tuple[dict[str, Callable], tuple]:
    """The four as functions of the parameters, the batch and the direction, and these."""
    side = sides.jax_side(name, problem)
    model = import_module(f"jax_impl.models.{name}")

    def gradient(params, batch, direction):
        return jax_impl.first_order.summed(model.losses(batch), params)

    def product(mode, params, batch, direction):
        return getattr(jax_impl.higher_order, mode)(jax_impl.higher_order.total(model.losses(batch)), params, direction)

    found: dict[str, Callable] = {GRADIENT: gradient} | {mode: partial(product, mode) for mode in MODES}
    return found, (side.params, side.batch, *sides.jax_rest(problem, "directional"))


def _torch(call: Callable[[], object], flops: Callable, side: sides.Side, device: str) -> Program:
    def peak() -> int:
        return sides.nbytes(side.arrays) + torch_impl.memory.peak(call, device)

    return Program(lambda: torch_impl.cost.ready(call()), flops, peak)


def _gradient(loss: Callable, params: dict, direction: dict) -> Any:
    return torch.func.grad(loss)(params)


def _forward_reverse(loss: Callable, params: dict, direction: dict) -> Any:
    return torch.func.jvp(torch.func.grad(loss), (params,), (direction,))[1]


def _reverse_forward(loss: Callable, params: dict, direction: dict) -> Any:
    return torch.func.grad(lambda p: torch.func.jvp(loss, (p,), (direction,))[1])(params)


def _reverse_reverse(loss: Callable, params: dict, direction: dict) -> Any:
    return torch.func.grad(lambda p: inner(torch.func.grad(loss)(p), direction))(params)


FUNCTIONAL = dict(zip(RUNS, (_gradient, _forward_reverse, _reverse_forward, _reverse_reverse), strict=True))
