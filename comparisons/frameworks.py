"""A problem's gradients by one framework: NumPy in, NumPy out, in PyTorch's names and layouts."""

from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from types import ModuleType

import jax
import numpy as np
import torch

import jax_impl.first_order
import jax_impl.higher_order
import torch_impl.first_order
import torch_impl.higher_order
from comparisons.difference import Gradients
from comparisons.layout import Arrays, from_flax, to_flax
from comparisons.problems import Problem, direction
from comparisons.scenarios import EVERY
from comparisons.testing import as_numpy


def in_torch(name: str, problem: Problem, strategy: str, dtype: str = "float64", device: str = "cpu") -> Gradients:
    """The strategy in eager PyTorch, on leaves that are new for this call; TF32 is off."""
    cast = {"dtype": getattr(torch, dtype), "device": device}
    model = import_module(f"torch_impl.models.{name}")
    params = {key: torch.tensor(value, requires_grad=True, **cast) for key, value in problem.params.items()}
    batch = {key: _tensor(value, **cast) for key, value in problem.batch.items()}
    arguments = [params]
    if EVERY[strategy].takes_direction:
        arguments.append({key: torch.tensor(value, **cast) for key, value in direction(problem).items()})
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = _taken(torch_impl, strategy)(model.losses(batch), *arguments)
    return _by_parameter(found, strategy)


def in_jax(
    name: str, problem: Problem, strategy: str, dtype: str = "float64", device: str = "cpu", jit: bool = True
) -> Gradients:
    """The strategy in JAX, compiled with parameters and batch as arguments; float32 products are exact to float32."""
    with jax_scope(dtype, device):
        params, batch = _jax(to_flax(problem.params, problem.layout), dtype), _jax(problem.batch, dtype)
        arguments = [params]
        if EVERY[strategy].takes_direction:
            arguments.append(_jax(to_flax(direction(problem), problem.layout), dtype))
        run = compiled(name, strategy) if jit else _function(name, strategy)
        found = jax.block_until_ready(run(batch, *arguments))
    return _by_parameter(found, strategy, problem)


@contextmanager
def jax_scope(dtype: str, device: str):
    """float64 where it is asked for, full float32 precision, and the device, for this block only."""
    platform = jax.devices("cuda" if device == "cuda" else "cpu")[0]
    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision("highest"), jax.default_device(platform):
        yield


@cache
def compiled(name: str, strategy: str):
    """One compiled function a (problem, strategy): new values and seeds of the same shapes reuse its program."""
    return jax.jit(_function(name, strategy))


def _function(name: str, strategy: str):
    model = import_module(f"jax_impl.models.{name}")
    return lambda batch, *arguments: _taken(jax_impl, strategy)(model.losses(batch), *arguments)


def _taken(side: ModuleType, strategy: str):
    """The strategy as a function of the losses; one of second order is taken per loss and for the sum."""
    if EVERY[strategy].order == 1:
        return getattr(side.first_order, strategy)
    function, total = getattr(side.higher_order, strategy), side.higher_order.total

    def taken(losses, *arguments):
        heads = losses.heads | total(losses).heads
        return function(replace(losses, heads=heads), *arguments)

    return taken


def _by_parameter(found: dict, strategy: str, problem: Problem | None = None) -> Gradients:
    gives = EVERY[strategy].gives
    if gives == "hessian":
        return {loss: _by_row(blocks, problem) for loss, blocks in found.items()}
    if gives in ("along", "features"):
        return {loss: {gives: as_numpy(value)} for loss, value in found.items()}
    grads: dict = {loss: {key: as_numpy(value) for key, value in grad.items()} for loss, grad in found.items()}
    return {loss: from_flax(grad, problem.layout) for loss, grad in grads.items()} if problem else grads


def _by_row(blocks: dict, problem: Problem | None) -> dict[str, np.ndarray]:
    """A Hessian's blocks as one matrix a parameter: its entries by all the parameters' entries, in PyTorch's order.

    Flax's blocks come over as a gradient does, along either index in turn: L' H L.
    """
    rows = {p: {q: np.asarray(as_numpy(block)) for q, block in row.items()} for p, row in blocks.items()}
    if problem is None:
        sizes = {p: row[p].size ** 0.5 for p, row in rows.items()}
        return {
            p: np.concatenate([b.reshape(round(sizes[p]), -1) for b in row.values()], axis=1) for p, row in rows.items()
        }
    shapes = {name: value.shape for name, value in to_flax(problem.params, problem.layout).items()}

    def flat(grads: dict) -> np.ndarray:
        ours = from_flax(grads, problem.layout)
        return np.concatenate([ours[name].reshape(-1) for name in problem.params])

    by_column = {
        p: np.stack([flat({q: row[q].reshape(-1, *shapes[q])[i] for q in row}) for i in range(np.prod(shapes[p]))])
        for p, row in rows.items()
    }
    columns = range(sum(value.size for value in problem.params.values()))
    turned = [from_flax({p: m[:, j].reshape(shapes[p]) for p, m in by_column.items()}, problem.layout) for j in columns]
    return {p: np.stack([column[p].reshape(-1) for column in turned], axis=1) for p in problem.params}


def _tensor(value: np.ndarray, dtype: torch.dtype, device: str) -> torch.Tensor:
    return torch.tensor(value, dtype=dtype if value.dtype == np.float64 else None, device=device)


def _jax(arrays: Arrays, dtype: str) -> dict:
    return {k: jax.numpy.asarray(v, dtype if v.dtype == np.float64 else None) for k, v in arrays.items()}
