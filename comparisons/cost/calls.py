"""What is timed: a strategy on either side, ready to be called, which waits for its own result."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from importlib import import_module
from time import perf_counter
from typing import Any, NamedTuple

import jax
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import jax_impl.cost
import jax_impl.memory
import torch_impl.cost
import torch_impl.first_order
from comparisons import results
from comparisons.cost.regimes import Place
from comparisons.frameworks import _function, jax_scope
from comparisons.memory import sides
from comparisons.problems import Problem

THROUGH_FUNC: dict[str, Callable[..., object]] = {
    "summed": lambda losses, params: {"total": torch.func.grad(lambda p: sum(losses(p).values()))(params)},
    "per_loss_recomputed": lambda losses, params: {
        name: torch.func.grad(lambda p: head(p, losses.trunk(p)))(params) for name, head in losses.heads.items()
    },
    "per_loss_functional": torch_impl.first_order.per_loss_functional,
}


class Call(NamedTuple):
    """`run()` returns when its result is there; `peak` counts arguments, results and scratch; `text` is JAX's HLO."""

    run: Callable[[], Any]
    compile_seconds: float | None = None
    peak: int | None = None
    peak_kind: str | None = None
    text: str = ""


@contextmanager
def scope(device: str = "cpu", tf32: bool = False) -> Iterator[int]:
    """The same cores for both: as many threads as this process may use cores, which is how many XLA starts.

    Products of float32 numbers are exact to float32 on both sides, by one setting each; with `tf32`, each framework
    does what it does by default.
    """
    cores = results.cores()
    threads = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        with ExitStack() as stack:
            stack.enter_context(jax_scope("float32", device))
            if tf32:
                stack.enter_context(jax.default_matmul_precision(None))
            else:
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
            yield cores
    finally:
        torch.set_num_threads(threads)


def eager(place: Place, strategy: str, device: str = "cpu", dtype: str = "float32") -> Call:
    """PyTorch as it is written."""
    side = sides.torch_side(place.name, _exact(place.stated, dtype), strategy, device, dtype)
    take = sides.run(strategy, side)
    peak = sides.torch_peak(strategy, side, device) + sides.nbytes(side.arrays)
    return Call(lambda: torch_impl.cost.ready(take()), peak=peak, peak_kind="observed")


def inductor(place: Place, strategy: str, device: str = "cpu", dtype: str = "float32") -> Call:
    """`torch.compile` of what is written with `torch.func`; parameters and batch are arguments.

    `make_fx` takes the derivative first and leaves a graph of plain operators: Dynamo itself does not trace the models,
    whose modules are made on the meta device.
    """
    side = sides.torch_side(place.name, _exact(place.stated, dtype), strategy, device, dtype)
    losses, take = import_module(f"torch_impl.models.{place.name}").losses, THROUGH_FUNC[strategy]
    params = {name: p.detach() for name, p in side.params.items()}
    torch.compiler.reset()
    start = perf_counter()
    graph = make_fx(lambda params, batch: take(losses(batch), params))(params, side.batch)
    program = torch.compile(graph, fullgraph=True)
    torch_impl.cost.ready(program(params, side.batch))
    return Call(lambda: torch_impl.cost.ready(program(params, side.batch)), perf_counter() - start)


class Program(NamedTuple):
    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    compile_seconds: float
    plan: jax_impl.memory.Plan
    text: str


def program(place: Place, strategy: str, device: str = "cpu", dtype: str = "float32") -> Program:
    """The strategy compiled by JAX in this scope, once for all the measurements that ask for it."""
    return _program(place, strategy, device, dtype, jax.config.jax_default_matmul_precision)


@lru_cache(maxsize=32)
def _program(place: Place, strategy: str, device: str, dtype: str, precision: str | None) -> Program:
    run, arguments = jax.jit(_function(place.name, strategy)), _arguments(place, strategy, dtype)
    start = perf_counter()
    compiled = run.lower(*arguments).compile()  # once: `run` finds it
    return Program(run, arguments, perf_counter() - start, jax_impl.memory.peak(compiled), compiled.as_text())


def jit(place: Place, strategy: str, device: str = "cpu", dtype: str = "float32") -> Call:
    """One compiled JAX program, parameters and batch its arguments; on the default device of the scope."""
    made = program(place, strategy, device, dtype)
    seconds, peak = made.compile_seconds, made.plan.peak
    return Call(lambda: jax_impl.cost.ready(made.run(*made.arguments)), seconds, peak, "planned", made.text)


def op_by_op(place: Place, strategy: str, device: str = "cpu", dtype: str = "float32") -> Call:
    """JAX without `jit`: each operation is a program of its own."""
    take = partial(_function(place.name, strategy), *_arguments(place, strategy, dtype))
    return Call(lambda: jax_impl.cost.ready(take()))


MODES = {
    "eager": ("torch", eager),
    "compile": ("torch", inductor),
    "jit": ("jax", jit),
    "op-by-op": ("jax", op_by_op),
}


def _arguments(place: Place, strategy: str, dtype: str) -> tuple[Any, ...]:
    stated = _exact(place.stated, dtype)
    side = sides.jax_side(place.name, stated, dtype)
    return jax.block_until_ready((side.batch, side.params, *sides.jax_rest(stated, strategy, dtype)))


def _exact(stated: Problem, dtype: str) -> Problem:
    """The problem in numbers that bfloat16 has, so that its float64 reference is taken at the same point."""
    if dtype != "bfloat16":
        return stated
    params, batch = (
        {name: torch.tensor(a).bfloat16().double().numpy() if a.dtype == float else a for name, a in arrays.items()}
        for arrays in (stated.params, stated.batch)
    )
    return stated._replace(params=params, batch=batch)
