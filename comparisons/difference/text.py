"""A difference in words: in full where little differs, summarised where everything does."""

from collections import Counter

import numpy as np

from comparisons.difference.pair import Pair

SHOWN = 10  # pairs; where more differ, the first four are described and the next six take a line each
DESCRIBED = 4


def summarised(pairs: tuple[Pair, ...], names: tuple[str, str], order: int) -> str:
    """The pairs that differ, worst first."""
    bad = tuple(pair for pair in pairs if not pair.equal)
    sides = "actual={}, expected={}".format(*names)
    what = "gradients" if order == 1 else "Hessian-vector products"
    if not bad:
        return f"{what} agree in all {len(pairs)} (loss, parameter) pairs; {sides}"
    lines = [f"{what} differ in {len(bad)} of {len(pairs)} (loss, parameter) pairs; {sides}"]
    if len(bad) <= SHOWN:
        return "\n".join(lines + [described(pair, order) for pair in bad])
    lines += _summary(pairs, bad)
    lines += [described(pair, order) for pair in bad[:DESCRIBED]] + [line(p, order) for p in bad[DESCRIBED:SHOWN]]
    return "\n".join([*lines, f"  and {len(bad) - SHOWN} more pairs: `.difference.unequal` has them all"])


def described(pair: Pair, order: int) -> str:
    """Where the pair differs most, by how much, what is allowed, and the hint."""
    eps = float(np.finfo(pair.dtype).eps)
    lines = [
        f"  {_title(pair, order)}  {pair.outside}/{np.prod(pair.shape, dtype=int)} outside",
        f"    worst {list(pair.worst)}: actual {pair.actual:.12e}, expected {pair.expected:.12e}",
        f"    error {pair.error:.2e} = {pair.relative_error:.2e} of leaf scale {pair.scale:.2e} = {pair.eps:.3g} eps; "
        f"allowed {pair.tolerance:.2e} = {pair.tolerance / eps:.3g} eps",
    ]
    return "\n".join([*lines, *([f"    hint: {pair.hint}"] if pair.hint else [])])


def line(pair: Pair, order: int) -> str:
    return f"  {_title(pair, order)}  {pair.outside} outside, {pair.relative_error:.2e} of leaf scale"


def _summary(pairs: tuple[Pair, ...], bad: tuple[Pair, ...]) -> list[str]:
    total, wrong = (Counter(pair.loss for pair in some) for some in (pairs, bad))
    lines = ["  by loss: " + ", ".join(f"{loss} {wrong[loss]} of {total[loss]}" for loss in total)]
    common, count = Counter(pair.hint for pair in bad).most_common(1)[0]
    return lines + ([f"  hint for {count} of them: {common}"] if common and count > 1 else [])


def _title(pair: Pair, order: int) -> str:
    head = f"d {pair.loss} / d {pair.parameter}" if order == 1 else f"(H v) of {pair.loss} at {pair.parameter}"
    return f"{head}  {pair.dtype}{list(pair.shape)}"
