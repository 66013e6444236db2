"""Two arrays that should be equal -> the plainest cause that explains how they differ."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import NamedTuple

import numpy as np


class Leaf(NamedTuple):
    """One gradient on both sides, and what is known around it: `others` are the other losses' expected gradients."""

    actual: np.ndarray
    expected: np.ndarray
    errors: np.ndarray
    allowed: float
    missing: list[str]
    others: Mapping[str, np.ndarray]
    names: tuple[str, str]


def hint(leaf: Leaf) -> str | None:
    """The first cause that explains the difference to one part in a thousand, from the plainest on."""
    unit = float(abs(leaf.expected).max(initial=0))
    if np.isfinite(unit) and unit:  # keeps the squares below from overflow and underflow
        scaled = {name: array / unit for name, array in leaf.others.items()}
        a, e, errors = leaf.actual / unit, leaf.expected / unit, leaf.errors / unit
        leaf = leaf._replace(actual=a, expected=e, errors=errors, allowed=leaf.allowed / unit, others=scaled)
    return next((found for cause in CAUSES for found in cause(leaf)), None)


def _not_finite(leaf: Leaf) -> Iterator[str]:
    where = {name: ~np.isfinite(x) for name, x in zip(leaf.names, (leaf.actual, leaf.expected), strict=True)}
    counts = [f"{w.sum()} of {w.size} in {name}" for name, w in where.items() if w.any()]
    if counts:
        yield f"NaN or infinite: {', '.join(counts)}"


def _missing(leaf: Leaf) -> Iterator[str]:
    if leaf.missing:
        yield f"missing (None) in {leaf.missing[0]}: is the parameter cut off by a detach, or not passed to the loss?"


def _zero(leaf: Leaf) -> Iterator[str]:
    for name, x in zip(leaf.names, (leaf.actual, leaf.expected), strict=True):
        if not x.any():
            yield f"zero in {name}: is the gradient stopped there, or the loss dropped?"


def _factor(leaf: Leaf) -> Iterator[str]:
    if leaf.expected.size == 1:  # one number is a multiple of any other
        return
    factor = np.vdot(leaf.expected, leaf.actual) / np.vdot(leaf.expected, leaf.expected)
    if _explains(leaf, factor * leaf.expected):
        shortest = next(t for d in range(1, 18) if _explains(leaf, complex(t := f"{factor:.{d}g}") * leaf.expected))
        shortest = shortest if np.iscomplexobj(factor) else f"{float(shortest):.12g}"  # 10, not 1e+01
        yield f"actual = {shortest} x expected: a reduction (mean or sum), a loss weight, a sign?"


def _conjugate(leaf: Leaf) -> Iterator[str]:
    if np.iscomplexobj(leaf.expected) and _explains(leaf, leaf.expected.conj()):
        yield "actual is the conjugate of expected: JAX's convention for complex gradients; take jnp.conj of it"


def _axes(leaf: Leaf) -> Iterator[str]:
    e = leaf.expected
    if e.ndim == 2 and e.shape[0] == e.shape[1] and _explains(leaf, e.T):
        yield "actual is the transpose of expected: a square weight in the other layout?"
    for axes in permutations(range(e.ndim)) if 2 < e.ndim < 6 else ():
        if e.transpose(axes).shape == e.shape and _explains(leaf, e.transpose(axes)):
            yield f"actual is expected with its axes in the order {axes}: a kernel in the other layout?"
    spatial = tuple(range(2, e.ndim))
    if spatial and _explains(leaf, np.flip(e, spatial)):
        yield "actual is expected with its spatial axes flipped: a convolution against a correlation?"


def _blocks(leaf: Leaf) -> Iterator[str]:
    for axis, count in ((axis, count) for count in (2, 3, 4) for axis in range(min(leaf.expected.ndim, 2))):
        if leaf.expected.shape[axis] % count == 0 and leaf.expected.shape[axis] > count:
            blocks = np.split(leaf.expected, count, axis)
            for order in permutations(range(count)):
                if _explains(leaf, np.concatenate([blocks[k] for k in order], axis)):
                    what = {2: "halves", 3: "thirds (query, key, value; GRU gates)", 4: "quarters (LSTM gates)"}[count]
                    yield f"actual is expected with its {what} along axis {axis} in the order {order}"


def _losses(leaf: Leaf) -> Iterator[str]:
    for loss, other in leaf.others.items():
        if other.shape != leaf.expected.shape or not other.any() or not np.isfinite(other).all():
            continue
        if _explains(leaf, other):
            yield f"actual is the gradient of {loss!r}: are two losses swapped?"
        weight = np.vdot(other, leaf.actual - leaf.expected) / np.vdot(other, other)
        if _explains(leaf, leaf.expected + weight * other):
            yield f"actual = expected + {weight:.4g} x the gradient of {loss!r}: does one loss run into another?"


def _offset(leaf: Leaf) -> Iterator[str]:
    step = (leaf.actual - leaf.expected).mean()
    if leaf.errors.size > 1 and _explains(leaf, leaf.expected + step):
        yield "actual = expected plus one constant everywhere: a term linear in this parameter on one side only?"


def _few(leaf: Leaf) -> Iterator[str]:
    outside = leaf.errors > leaf.allowed
    for axis in range(outside.ndim) if outside.ndim > 1 and outside.sum() > 1 else ():
        rows = np.flatnonzero(outside.any(axis=tuple(k for k in range(outside.ndim) if k != axis)))
        if len(rows) == 1 and outside.shape[axis] > 2:
            yield f"only index {rows[0]} of axis {axis} differs: a padding row, a masked channel, an off-by-one?"
    if outside.sum() * 100 <= outside.size:
        yield f"only {outside.sum()} of {outside.size} elements differ: a mask, an index, a single wrong write?"


def _small(leaf: Leaf) -> Iterator[str]:
    part = leaf.errors.max() / abs(leaf.expected).max()
    if 1e-8 < part < 1e-2 and (leaf.errors > leaf.allowed).mean() > 0.5:
        yield "a small part off everywhere: an epsilon (1e-5 or 1e-6), GELU's form (erf or tanh), a float32 softmax?"


def _explains(leaf: Leaf, candidate: np.ndarray) -> bool:
    return bool(abs(leaf.actual - candidate).max() <= 1e-3 * leaf.errors.max())


CAUSES = (_not_finite, _missing, _zero, _factor, _conjugate, _axes, _losses, _blocks, _offset, _few, _small)
