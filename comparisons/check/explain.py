"""One leaf of a comparison in words: where it differs, by what factor, and which layer's rule mapped it."""

import numpy as np

from comparisons.difference import Difference
from comparisons.layout import Layout, rule_of
from comparisons.usage import known


def explained(found: Difference, loss: str, parameter: str, layout: Layout | None) -> str:
    """`loss` and `parameter` must be names that were compared."""
    known("--explain LOSS", [loss], dict.fromkeys(pair.loss for pair in found.pairs))
    known("--explain PARAM", [parameter], dict.fromkeys(pair.parameter for pair in found.pairs))
    pair = next(pair for pair in found.pairs if (pair.loss, pair.parameter) == (loss, parameter))
    size = np.prod(pair.shape, dtype=int)
    lines = [
        f"d {loss} / d {parameter}  {pair.dtype}{list(pair.shape)}: {'equal' if pair.equal else 'differs'}",
        f"  mapped by {rule_of(parameter, layout) if layout is not None else 'no layout: taken as it is'}",
        f"  worst {list(pair.worst)}: jax {pair.actual:.12e}, torch {pair.expected:.12e}",
        f"  {pair.outside} of {size} elements outside {pair.tolerance:.0e} of {pair.scale:.2e}",
    ]
    for axis, rows in enumerate(pair.where):
        if pair.outside:
            full = len(rows) == pair.shape[axis]
            share = "every index" if full else f"{len(rows)} of {pair.shape[axis]}: {_brief(rows)}"
            lines.append(f"  along axis {axis}: {share}")
    if pair.outside and pair.factor is not None:
        middle, least, most = pair.factor
        lines.append(f"  factor: jax / torch is {middle:.12g} in the middle, from {least:.12g} to {most:.12g}")
    return "\n".join([*lines, *([f"  hint: {pair.hint}"] if pair.hint else [])])


def _brief(rows: tuple[int, ...]) -> str:
    return ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
