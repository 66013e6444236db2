"""Held bytes: the residuals of a pullback, while it lives and once it is dropped."""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.extend import source_info_util


class Kept(NamedTuple):
    """One array that a pullback keeps; `op` and `line` say what made it, where `residuals` traced it."""

    op: str
    line: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    kind: str


def held(pullback: Callable, inputs: Any = ()) -> "Ledger":
    """A ledger of a pullback's residuals, exact at any moment: a pullback is a pytree, and these are its leaves.

    >>> w, x = jnp.ones((8, 8)), jnp.ones((4, 8))
    >>> z, pullback = jax.vjp(lambda w: jnp.exp(x @ w), w)
    >>> ledger = held(pullback, x)
    >>> ledger.bytes  # exp's output (4, 8), 4 bytes each
    128
    >>> del pullback
    >>> ledger.bytes  # it is `z` itself, which lives on
    128
    >>> del z
    >>> ledger.bytes
    0

    The differentiated arguments are kept apart (`pullback.args_res`), and so are the arrays in `inputs`, which live
    anyway. A pullback that `jax.jit` returned has copies of both: it owns all that it keeps. Only weak references
    are taken. `residuals` says what made each array.
    """
    if not hasattr(pullback, "args_res") or not hasattr(pullback, "opaque_residuals"):
        raise TypeError(f"`pullback` should be what jax.vjp returns (got {type(pullback).__name__})")
    leaves = jax.tree.leaves((pullback.args_res, pullback.opaque_residuals))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        raise TypeError(
            "`held` cannot see inside a traced function: return the pullback from it, or use `residuals(f, *args)`"
        )
    if any(leaf.is_deleted() for leaf in leaves):
        raise ValueError("`pullback` was donated or deleted: take it again with jax.vjp")
    return Ledger(pullback, inputs)


class Ledger:
    """What `held` gives: `bytes` now, the arrays `saved()` now, and `print(ledger)` for the largest."""

    def __init__(self, pullback: Any, inputs: Any):
        outside = {_buffer(leaf) for leaf in jax.tree.leaves(inputs)}
        arguments = {_buffer(leaf) for leaf in jax.tree.leaves(pullback.args_res)}
        self._arrays: list[tuple[weakref.ref[Array], int, str]] = []
        for leaf in jax.tree.leaves((pullback.args_res, pullback.opaque_residuals)):
            key = _buffer(leaf)
            kind = "input" if key in outside else "parameter" if key in arguments else "activation"
            self._arrays.append((weakref.ref(leaf), key, kind))

    @property
    def bytes(self) -> int:
        """The bytes of activations alive now, each buffer counted once."""
        return self.kept["activation"]

    @property
    def kept(self) -> dict[str, int]:
        """The bytes alive now of each kind: `activation`, `parameter`, `input`."""
        found: dict[str, dict[int, int]] = {"activation": {}, "parameter": {}, "input": {}}
        for array, key, kind in self._alive():
            found[kind][key] = array.nbytes
        return {kind: sum(buffers.values()) for kind, buffers in found.items()}

    def saved(self) -> list[Kept]:
        """Every array alive now, the largest first."""
        rows = [Kept("", "", a.shape, a.dtype.name, a.nbytes, kind) for a, _, kind in self._alive()]
        return sorted(rows, key=lambda row: -row.bytes)

    def __str__(self) -> str:
        rows = [row for row in self.saved() if row.kind == "activation"]
        largest = [f"  {row.bytes:>14,} B  {row.dtype} {list(row.shape)}" for row in rows[:10]]
        return "\n".join([f"{self.bytes:,} B held for the pullback in {len(rows)} residuals", *largest])

    def _alive(self) -> list[tuple[Array, int, str]]:
        arrays = [(reference(), key, kind) for reference, key, kind in self._arrays]
        return [(a, key, kind) for a, key, kind in arrays if a is not None and not a.is_deleted()]


class Traced:
    """A traced pullback's activations: their `bytes` by shape, for as long as the pullback lives."""

    def __init__(self, pullback: Any):
        arguments = set(map(id, jax.tree.leaves(pullback.args_res)))
        found = {id(leaf): leaf for leaf in jax.tree.leaves(pullback.opaque_residuals) if id(leaf) not in arguments}
        self._bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in found.values())
        self._pullback = weakref.ref(pullback)

    @property
    def bytes(self) -> int:
        return 0 if self._pullback() is None else self._bytes


def residuals(f: Callable, *args: Any) -> list[Kept]:
    """What `jax.vjp(f, *args)` would keep, from its trace: nothing is computed, and shapes alone will do.

    Each array comes with the primitive and the source line that made it; an array that `f` closes over is an input.
    `args` are arrays or `jax.ShapeDtypeStruct`s. An array is listed once, however many residuals it serves.

    >>> w, x = jax.ShapeDtypeStruct((8, 8), "float32"), jnp.ones((4, 8))
    >>> [(kept.op, kept.shape) for kept in residuals(lambda w: jnp.exp(x @ w), w) if kept.kind == "activation"]
    [('exp', (4, 8))]
    """
    strange = [leaf for leaf in jax.tree.leaves(args) if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype")]
    if strange:
        raise TypeError(f"`args` should be arrays or jax.ShapeDtypeStructs (got a {type(strange[0]).__name__} in them)")
    kinds: list[str] = []

    def pullback(*args):
        _, pull = jax.vjp(f, *args)
        arguments, activations = jax.tree.leaves(pull.args_res), jax.tree.leaves(pull.opaque_residuals)
        kinds[:] = ["parameter"] * len(arguments) + ["activation"] * len(activations)
        return arguments, activations

    closed = jax.make_jaxpr(pullback)(*args)
    outside = {*map(id, closed.jaxpr.constvars)}
    made = {id(v): (equation, k) for equation in closed.jaxpr.eqns for k, v in enumerate(equation.outvars)}
    found = {}
    for variable, kind in zip(closed.jaxpr.outvars, kinds, strict=True):
        kind = "input" if id(variable) in outside else kind
        equation, k = made.get(id(variable), (None, 0))
        op, line = _maker(equation, k) if equation else ("", "")
        aval = variable.aval
        size = aval.size * aval.dtype.itemsize
        found[id(variable)] = Kept(op, line, aval.shape, aval.dtype.name, size, kind)
    return sorted(found.values(), key=lambda row: -row.bytes)


def _maker(equation: Any, position: int) -> tuple[str, str]:
    """The primitive behind an output and its source line, inside however many jitted or customised calls."""
    inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    if inner is not None and equation.primitive.name not in ("scan", "while"):
        jaxpr = getattr(inner, "jaxpr", inner)
        for found in jaxpr.eqns:
            for k, variable in enumerate(found.outvars):
                if variable is jaxpr.outvars[position]:
                    return _maker(found, k)
    return equation.primitive.name, source_info_util.summarize(equation.source_info)


def _buffer(leaf: Any) -> int:
    return leaf.unsafe_buffer_pointer() if isinstance(leaf, Array) else id(leaf)
