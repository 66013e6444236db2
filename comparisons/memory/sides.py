"""A problem's strategies run under each side's instruments: NumPy in, bytes out."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import jax
import numpy as np
import torch
from jax.experimental.serialize_executable import serialize

import jax_impl.first_order
import jax_impl.memory
import torch_impl.first_order
import torch_impl.memory
from comparisons.frameworks import _jax, _tensor, compiled
from comparisons.layout import to_flax
from comparisons.problems import Problem, direction
from comparisons.scenarios import STRATEGIES
from torch_impl.memory.held import graph_bytes

DTYPE = "float32"


class Side(NamedTuple):
    """One framework's losses, and the arrays that they and a strategy are given."""

    losses: Any
    params: dict
    batch: dict
    rest: tuple

    @property
    def arrays(self) -> list:
        return [self.params, self.batch, *self.rest]


def torch_side(name: str, problem: Problem, strategy: str = "", device: str = "cpu", dtype: str = DTYPE) -> Side:
    """Leaves that are new for this call."""
    cast: dict = {"dtype": getattr(torch, dtype), "device": device}
    model = import_module(f"torch_impl.models.{name}")
    params = {key: torch.tensor(value, requires_grad=True, **cast) for key, value in problem.params.items()}
    batch = {key: _tensor(value, **cast) for key, value in problem.batch.items()}
    rest: tuple = ()
    if strategy and STRATEGIES[strategy].gives == "along":
        rest = ({key: torch.tensor(value, **cast) for key, value in direction(problem).items()},)
    return Side(model.losses(batch), params, batch, rest)


def jax_side(name: str, problem: Problem, dtype: str = DTYPE) -> Side:
    """Arrays on the scope's device."""
    model = import_module(f"jax_impl.models.{name}")
    params, batch = _jax(to_flax(problem.params, problem.layout), dtype), _jax(problem.batch, dtype)
    return Side(model.losses(batch), params, batch, ())


def jax_rest(problem: Problem, strategy: str, dtype: str = DTYPE) -> tuple:
    """What the strategy is given beside the parameters: a direction, or nothing."""
    along = STRATEGIES[strategy].gives == "along"
    return (_jax(to_flax(direction(problem), problem.layout), dtype),) if along else ()


def run(strategy: str, side: Side, strategies: ModuleType = torch_impl.first_order) -> Callable[[], object]:
    """The strategy on this side, ready to be called."""
    return partial(getattr(strategies, strategy), side.losses, side.params, *side.rest)


def torch_phases(strategy: str, side: Side) -> list[tuple[str, int]]:
    """Held bytes at every phase of a strategy, the last one `dropped`."""
    ledger = torch_impl.memory.held([side.params, side.rest], side.batch)
    with ledger, torch_impl.memory.phases(ledger) as marks:
        run(strategy, side)()
    return [*marks, ("dropped", ledger.bytes)]


def torch_peak(strategy: str, side: Side, device: str = "cpu") -> int:
    """The peak of one call beyond its arguments; gradients are cleared first.

    On a GPU a first call makes the workspaces that cuBLAS and cuDNN keep, so that they are there before.
    """
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        if device == "cuda":
            run(strategy, side)()
        _clear_gradients(side)
        return torch_impl.memory.peak(run(strategy, side), device)


def torch_accounted(strategy: str, side: Side) -> tuple[int, torch_impl.memory.Workspaces]:
    """What `torch_peak` on a GPU is made of: the bytes asked for, and what operators return and take inside."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        _clear_gradients(side)
        requested = torch_impl.memory.requested(run(strategy, side))
        _clear_gradients(side)
        with torch_impl.memory.Workspaces(side.arrays) as seen:
            run(strategy, side)()
    _clear_gradients(side)
    return requested, seen


def _clear_gradients(side: Side) -> None:
    for p in side.params.values():
        p.grad = None


def torch_instruments(side: Side) -> tuple[int, int]:
    """What the whole graph holds by the hooks, and by its nodes' own attributes."""
    with torch_impl.memory.held(side.params, side.batch) as ledger:
        values = side.losses(side.params)
    by_hooks = ledger.bytes
    del ledger
    values = side.losses(side.params)
    return by_hooks, graph_bytes(values, side.params, side.batch)


def jax_phases(strategy: str, side: Side) -> list[tuple[str, int]]:
    """Held bytes at every phase of a strategy, the last one `dropped`; none where no pullback leaves a function."""
    if not leaves_a_pullback(strategy, side):
        return []
    with jax_impl.memory.phases(side.batch) as (marks, ledgers):
        run(strategy, side, jax_impl.first_order)()
    return [*marks, ("dropped", sum(ledger.bytes for ledger in ledgers))]


def leaves_a_pullback(strategy: str, side: Side) -> bool:
    """Whether the strategy calls `jax.vjp`, by its trace: nothing is compiled."""
    with patch.object(jax, "vjp", wraps=jax.vjp) as traced:
        jax.eval_shape(run(strategy, side, jax_impl.first_order))
    return traced.called


def jax_program(name: str, strategy: str, side: Side) -> tuple[jax.stages.Compiled, tuple]:
    """A whole strategy, compiled, and its arguments: batch, parameters and the rest."""
    arguments = (side.batch, side.params, *side.rest)
    return compiled(name, strategy).lower(*arguments).compile(), arguments


def jax_instruments(side: Side) -> tuple[int, int]:
    """What a compiled pullback of all the losses holds by its buffers, and by its trace."""
    _, pullback = jax_impl.memory.compiled_vjp(side.losses, side.params)
    traced = jax_impl.memory.residuals(side.losses, side.params)
    return jax_impl.memory.held(pullback, side.batch).bytes, sum(r.bytes for r in traced if r.kind != "parameter")


def jax_peak_alone(program: jax.stages.Compiled, arguments: tuple) -> int:
    """`peak_bytes_in_use` of a compiled program on a GPU, in a process of its own: the count cannot be reset.

    The program comes there as it is: compiling would try kernels out, and their workspaces would count.
    """
    given = pickle.dumps((serialize(program), jax.tree.map(np.asarray, arguments)))
    done = subprocess.run([sys.executable, "-m", "comparisons.memory.alone"], input=given, capture_output=True)
    if done.returncode:
        raise RuntimeError((done.stderr.decode().strip().splitlines() or ["the measuring process died"])[-1])
    return int(done.stdout)


def nbytes(arrays: object) -> int:
    """The bytes of every tensor or array in a tree."""
    leaves = jax.tree.leaves(arrays)
    return int(sum(np.prod(leaf.shape, dtype=int) * leaf.dtype.itemsize for leaf in leaves))
