"""Checks: where a compiler stands between the code and its values."""

import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.compiler.config

import jax_impl.pitfalls.compiled
import torch_impl.pitfalls.compiled
from comparisons.facts import Fact
from comparisons.pitfalls.found import Found
from comparisons.pitfalls.lifetimes import leaf
from comparisons.watch import NOTHING, numbers, raised, same

POINT = np.array([0.25, 0.75])


def compiler() -> str | None:
    """The C++ compiler that inductor would use, or None."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


def compiled_second_order(backend: str = "aot_eager") -> Found:
    torch.compiler.reset()
    e, s, c = np.exp(POINT), np.sin(POINT), np.cos(POINT)
    expected = e * (s + c) + 2 * e * (s + c) * 2 * e * c
    w = leaf(*POINT)
    error = raised(lambda: torch_impl.pitfalls.compiled.compiled_second_order(w, backend))
    fixed = torch_impl.pitfalls.compiled.compiled_second_order_fixed(leaf(*POINT), backend)
    with jax.enable_x64(True):
        jitted = jax_impl.pitfalls.compiled.compiled_second_order(jnp.asarray(POINT))
    return Found(
        error,
        [Fact("w.grad is untouched", w.grad is None, "None")],
        [Fact("the gradient of loss and penalty, compiled whole", same(fixed, expected), numbers(fixed))],
        [Fact("absent: jit and grad compose", same(jitted, expected), numbers(jitted))],
    )


def compiled_second_order_silent(backend: str = "aot_eager") -> Found:
    torch.compiler.reset()
    e = np.exp(POINT)
    full, loss_only = e + 2 * e * e, e
    silent = torch_impl.pitfalls.compiled.compiled_second_order_silent(leaf(*POINT), backend)
    eager = torch_impl.pitfalls.compiled.compiled_second_order_silent(leaf(*POINT), "eager")
    loss = torch.compile(lambda w: w.exp().sum(), backend=backend)(w := leaf(*POINT))
    (grad,) = torch.autograd.grad(loss, w, create_graph=True)
    way_back = grad.requires_grad and torch.autograd.grad((grad**2).sum(), w, allow_unused=True)[0]
    with jax.enable_x64(True):
        f = jax.jit(lambda w: jnp.exp(w).sum())
        jitted = jax.grad(lambda w: f(w) + (jax.grad(f)(w) ** 2).sum())(jnp.asarray(POINT))
    return Found(
        NOTHING,
        [
            Fact(
                "no error; the penalty's part is missing",
                same(silent, loss_only),
                f"{numbers(silent)}, not {numbers(full)}",
            ),
            Fact(
                "the penalty alone does not lead back to w: None, or before torch 2.13 not even a graph",
                way_back is None or way_back is False,
                f"requires_grad is {grad.requires_grad}",
            ),
        ],
        [Fact("not compiled, the same code is right", same(eager, full), numbers(eager))],
        [Fact("absent: jit and grad compose", same(jitted, full), numbers(jitted))],
    )


def donated_buffers(backend: str = "aot_eager") -> Found:
    def run(function):
        torch.compiler.reset()
        w = torch.eye(2, dtype=torch.float64, requires_grad=True)
        # inductor's disk cache would hand a backward compiled in one order to the other
        with torch.compiler.config.patch(force_disable_caches=True):
            return raised(lambda: function(w, backend)), w

    error, w = run(torch_impl.pitfalls.compiled.donated_buffers)
    none, _ = run(torch_impl.pitfalls.compiled.donated_buffers_fixed)
    pullback = jax.jit(lambda w: jax.vjp(lambda w: (jnp.exp(w).sum(), jnp.tanh(w).sum()), w)[1])(jnp.eye(2))
    pull = jax.jit(lambda pullback, cotangent: pullback(cotangent)[0])
    together, apart = pull(pullback, (1.0, 1.0)), pull(pullback, (1.0, 0.0)) + pull(pullback, (0.0, 1.0))
    return Found(
        error,
        [Fact("w.grad is untouched", w.grad is None, "None")],
        [Fact("retained first: then summed, then retained, no error", not none.kind, str(none))],
        [Fact("absent: a pullback crosses jit, pulled in any order", same(together, apart), numbers(apart))],
    )


def deleted_buffer() -> Found:
    w = jnp.ones(4)
    error = raised(lambda: jax_impl.pitfalls.compiled.donated_buffers(w))
    fixed = jax_impl.pitfalls.compiled.donated_buffers_fixed(jnp.ones(4))
    p = torch.ones(4)
    optimizer = torch.optim.SGD([p], 0.1)
    p.grad = torch.ones(4)
    optimizer.step()
    return Found(
        error,
        [Fact("the caller's array is deleted", w.is_deleted(), "w.is_deleted()")],
        [Fact("the new value under the old name", same(fixed, np.full(4, 1.9)), numbers(fixed))],
        [Fact("absent: an optimiser writes in place, and p stays readable", same(p, np.full(4, 0.9)), numbers(p))],
    )


def recompiled() -> Found:
    traced: list[int] = []
    jax_impl.pitfalls.compiled.recompiled(jnp.ones(3), (2, 3, 3), traced)
    fresh = list(traced)
    traced.clear()
    jax_impl.pitfalls.compiled.recompiled_fixed(jnp.ones(3), (2, 3, 3), traced, 4)
    seen: list = []

    def backend(graph, _):
        seen.append(graph)
        return graph.forward

    torch.compiler.reset()
    f = torch.compile(lambda rows, w: (rows @ w).sum(), backend=backend)
    for count in (2, 3, 3):
        f(torch.ones(count, 3), torch.ones(3))
    return Found(
        NOTHING,
        [Fact("K = 2, 3, 3 in fresh closures: three traces", fresh == [2, 3, 3], f"traced for K = {fresh}")],
        [
            Fact(
                "one function, losses as an argument of one shape: one trace",
                traced == [4],
                f"traced for {traced} rows",
            )
        ],
        [
            Fact(
                "eager PyTorch traces nothing; torch.compile traces per shape, not per call",
                len(seen) == 2,
                f"{len(seen)} graphs for the same three calls",
            )
        ],
    )


def _miscompiles() -> dict[str, bool]:
    """Releases of JAX that were tried, and whether XLA gets the batched pull wrong on this CPU."""
    cpu = Path("/proc/cpuinfo")
    wide = cpu.exists() and "avx512f" in cpu.read_text()
    return {} if os.environ.get("XLA_FLAGS") else {"0.10.2": wide, "0.11.2": False}


def miscompiled() -> Found:
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(shape) for shape in ((6, 4, 3), (3, 10), (5, 10))]
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        arrays = [jnp.asarray(array) for array in given]
        batched = jax_impl.pitfalls.compiled.miscompiled(*arrays)
        each = jax_impl.pitfalls.compiled.miscompiled_fixed(*arrays)
        apart = float(abs(batched - each).max() / abs(each).max())
    with jax.default_device(jax.devices("cpu")[0]):
        single = jax_impl.pitfalls.compiled.miscompiled(*(jnp.asarray(array, "float32") for array in given))
    xs, w, u = (torch.tensor(array) for array in given)
    eager = torch_impl.pitfalls.compiled.miscompiled(xs, w.requires_grad_(), u)
    wrong = apart > 1e-6
    told = f"JAX {jax.__version__}: {'wrong' if wrong else 'right'}, off by {apart:.0e} of the largest entry"
    return Found(
        NOTHING,
        [Fact(told, _miscompiles().get(jax.__version__, wrong) == wrong, "beside one pull for each loss")],
        [
            Fact("one pull for each loss: as PyTorch", same(each, eager, 1e-12), "float64"),
            Fact("the batched pull in float32: as PyTorch", same(single, eager, 1e-5), "float32"),
        ],
        [Fact("absent: each operator runs a kernel of its own", same(eager, each, 1e-12), "is_grads_batched")],
    )
