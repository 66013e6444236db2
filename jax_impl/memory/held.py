"""Held bytes: the residuals of a pullback, while it lives and once it is dropped."""

import weakref
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax.extend import source_info_util

from jax_impl.memory.listing import Kept, Listing


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
    if any(_deleted(leaf) for leaf in leaves):
        raise ValueError("`pullback` was donated or deleted: take it again with jax.vjp")
    return Ledger(pullback, inputs)


class Ledger:
    """What `held` gives: `bytes` now, the arrays `saved()` now, and `print` for either."""

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

    def saved(self) -> Listing:
        """Every buffer alive now, the largest first."""
        rows = {key: Kept("", "", a.shape, a.dtype.name, a.nbytes, kind) for a, key, kind in self._alive()}
        return Listing(sorted(rows.values(), key=lambda row: (-row.bytes, row.kind)))

    def __str__(self) -> str:
        return str(self.saved())

    def _alive(self) -> list[tuple[Array, int, str]]:
        arrays = [(reference(), key, kind) for reference, key, kind in self._arrays]
        return [(a, key, kind) for a, key, kind in arrays if a is not None and not _deleted(a)]


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


def residuals(f: Callable, *args: Any) -> Listing:
    """What `jax.vjp(f, *args)` would keep, from its trace: nothing is computed, and shapes alone will do.

    Each array comes with the primitive and the source line that made it; an array that `f` closes over is an input.
    `args` are arrays or `jax.ShapeDtypeStruct`s. An array is listed once, however many residuals it serves.

    >>> w, x = jax.ShapeDtypeStruct((8, 8), "float32"), jnp.ones((4, 8))
    >>> found = residuals(lambda w: jnp.exp(x @ w), w)
    >>> print(found)  # doctest: +ELLIPSIS
    128 B held for the pullback, beside 128 B of parameters and inputs
      128 B  float32[4, 8]  activation  exp  ...
      128 B  float32[4, 8]  input
    >>> [(kept.op, kept.shape) for kept in found if kept.kind == "activation"]
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
    return Listing(sorted(found.values(), key=lambda row: (-row.bytes, row.kind)))


def _maker(equation: Any, position: int) -> tuple[str, str]:
    """The primitive behind an output and its source line, inside however many jitted or customised calls."""
    line = _line(equation.source_info)
    inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    if inner is not None and equation.primitive.name not in ("scan", "while"):
        jaxpr = getattr(inner, "jaxpr", inner)
        for found in jaxpr.eqns:
            for k, variable in enumerate(found.outvars):
                if variable is jaxpr.outvars[position]:
                    op, own = _maker(found, k)
                    return op, own or line
    return equation.primitive.name, line


def _line(source: source_info_util.SourceInfo) -> str:
    """The innermost line that is not of an installed package, such as Flax; else the innermost."""
    lines = source_info_util.summarize(source, num_frames=100).splitlines()[::-1]
    return next((line for line in lines if "site-packages" not in line), lines[0] if lines else "")


def _deleted(leaf: Any) -> bool:
    return isinstance(leaf, Array) and leaf.is_deleted()  # NumPy's arrays are kept too


def _buffer(leaf: Any) -> int:
    single = isinstance(leaf, Array) and len(leaf.devices()) == 1  # a sharded array has a buffer on each
    return leaf.unsafe_buffer_pointer() if single else id(leaf)
