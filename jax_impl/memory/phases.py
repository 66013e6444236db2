"""A strategy watched from outside: what its pullbacks hold when they are made, and after each pull."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any
from unittest.mock import patch

import jax

from jax_impl.memory.held import Ledger, Traced, held

Marks = list[tuple[str, int]]
_vjp, _grad = jax.vjp, jax.grad

compiled_vjp = jax.jit(lambda f, *primals: _vjp(f, *primals), static_argnums=0)
"""`jax.vjp` as a program: the pullback comes back as its output, and owns the residuals."""
_compiled_grad = jax.jit(lambda f, argnums, *primals: _grad(f, argnums)(*primals), static_argnums=(0, 1))
_compiled_pull = jax.jit(lambda pullback, cotangents: pullback(*cotangents))


def _traced(primals: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(primals))


@contextmanager
def phases(inputs: Any = ()) -> Iterator[tuple[Marks, list[Ledger | Traced]]]:
    """Marks of held bytes: `forward` when a pullback is first pulled, then `backward 1`, `backward 2` ... as each ends.

    The lists grow while the block runs; there is a ledger for each `jax.vjp`. Run the strategy without `jit`: inside
    one there is no moment to look at. Each `jax.vjp` is compiled, and its pullback comes back as the program's output:
    run operation by operation, a jitted function such as `jnp.tanh` would return its residuals as further copies.
    A `jax.grad` makes a pullback and drops it in one call, so it leaves no mark.

    Under `jax.eval_shape` the marks are the same, from shapes: nothing is computed and nothing allocated. A pull is
    not traced there: it gives the primals, whose shapes its results have. RuntimeError inside another such block.
    """
    if jax.vjp is not _vjp:
        raise RuntimeError("`phases` is already recording: leave that block first")
    marks: Marks = []
    ledgers: list[Ledger | Traced] = []

    def total() -> int:
        return sum(ledger.bytes for ledger in ledgers)

    def watched(pullback: Callable, pull: Callable) -> Callable:
        @wraps(pullback)
        def call(*cotangents):
            if not marks:
                marks.append(("forward", total()))
            found = pull(pullback, cotangents)
            marks.append((f"backward {len(marks)}", total()))
            return found

        return call

    def recorded(f, *primals):
        traced = _traced(primals)
        value, pullback = (_vjp if traced else compiled_vjp)(f, *primals)
        ledgers.append(Traced(pullback) if traced else held(pullback, inputs))
        shaped = (lambda own, given: primals) if traced else None
        call = watched(pullback, shaped or _compiled_pull)
        call.with_refs = lambda *refs: watched(pullback, shaped or (lambda own, given: own.with_refs(*refs)(*given)))
        return value, call

    def grad(f, argnums=0):
        return lambda *primals: (_grad(f, argnums) if _traced(primals) else partial(_compiled_grad, f, argnums))(
            *primals
        )

    with patch.object(jax, "vjp", recorded), patch.object(jax, "grad", grad):
        yield marks, ledgers
