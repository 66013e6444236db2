"""JAX's frames: which residuals are alive before and after every pull of a strategy's pullbacks."""

import re
from functools import cache
from unittest.mock import patch

import jax

import jax_impl.first_order
import jax_impl.memory
from comparisons.frameworks import jax_scope
from comparisons.memory import sides
from comparisons.memory.strip.stage import Frames, Tensor, around, problem

_vjp = jax.vjp


@cache
def _side(device: str) -> sides.Side:
    """One set of named losses for all strategies, so that a pullback compiled for one serves the next."""
    side = sides.jax_side("many_heads", problem())
    return side._replace(losses=around(side.losses, lambda owner, forward: jax.named_call(forward, name=owner)))


def frames(strategy: str, device: str) -> tuple[dict, Frames]:
    """Residuals by key, and the frames; a key is a pullback and a position in it. None where no pullback is made."""
    with jax_scope(sides.DTYPE, device):
        return _watched(strategy, device)


def _watched(strategy: str, device: str) -> tuple[dict, Frames]:
    side = _side(device)._replace(rest=sides.jax_rest(problem(), strategy))
    tensors: dict[tuple[int, int], Tensor] = {}
    found: Frames = []
    names = {side.losses.trunk: "both", side.losses: "both"} | dict(zip(side.losses.heads.values(), "AB", strict=True))

    if not sides.leaves_a_pullback(strategy, side):
        return {}, []
    with jax_impl.memory.phases(side.batch) as (_, ledgers):
        recorded = jax.vjp

        def vjp(f, *primals):
            value, pullback = recorded(f, *primals)
            for k, tensor in enumerate(_residuals(f, *primals)):
                tensors[len(ledgers) - 1, k] = tensor
            return value, watched(pullback, names[f])

        def watched(pullback, of):
            def pull(*cotangents):
                mark(f"before {of}")
                grads = pullback(*cotangents)
                mark(f"after {of}")
                return grads

            pull.with_refs = lambda *refs: watched(pullback.with_refs(*refs), of)
            return pull

        def mark(phase: str) -> None:
            alive = {k for k, ledger in enumerate(ledgers) if ledger.bytes}
            found.append((phase, {key for key in tensors if key[0] in alive}))

        with patch.object(jax, "vjp", vjp):
            sides.run(strategy, side, jax_impl.first_order)()
        mark("dropped")
    return tensors, found


def _residuals(f, *primals) -> list[Tensor]:
    """What a pullback of `f` keeps beside its arguments, from its trace: what made it, under which name."""

    def kept(*primals):
        _, pullback = _vjp(f, *primals)
        return jax.tree.leaves(pullback.opaque_residuals)

    jaxpr = jax.make_jaxpr(kept)(*primals).jaxpr
    made = {id(variable): equation for equation in jaxpr.eqns for variable in equation.outvars}
    found = []
    for variable in jaxpr.outvars:
        equation, aval = made.get(id(variable)), variable.aval
        name = re.search(r"\b(A|B)\b", str(equation.source_info.name_stack)) if equation else None
        owner = name[1] if name else "shared"
        op = equation.primitive.name if equation else "input"
        found.append(Tensor(owner, op, aval.shape, aval.size * aval.dtype.itemsize))
    return found
