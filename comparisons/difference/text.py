"""A difference in words: in full where little differs, summarised where everything does."""

from collections import Counter

import numpy as np

from comparisons.difference.pair import Pair

DESCRIBED = 4  # pairs in full, the worst ones ...
SHOWN = 10  # ... then a line each up to this many; the rest is counted


def summarised(pairs: tuple[Pair, ...], names: tuple[str, str], order: int) -> str:
    """The pairs that differ, worst first; a hint that several of them share is given once."""
    bad = tuple(pair for pair in pairs if not pair.equal)
    sides = "" if names == ("actual", "expected") else "; actual={}, expected={}".format(*names)
    what = "gradients" if order == 1 else "Hessian-vector products"
    if not bad:
        return f"{what} agree in all {len(pairs)} (loss, parameter) pairs{sides}"
    lines = [f"{what} differ in {len(bad)} of {len(pairs)} (loss, parameter) pairs{sides}"]
    if len(bad) > DESCRIBED:
        total, wrong = (Counter(pair.loss for pair in some) for some in (pairs, bad))
        lines.append("  by loss: " + ", ".join(f"{loss} {wrong[loss]} of {total[loss]}" for loss in wrong))
    common, count = shared(bad)
    if common:
        lines.append(f"  hint for {count} of them: {common}")
    lines += [described(pair, order, common) for pair in bad[:DESCRIBED]]
    lines += [line(pair, order, common) for pair in bad[DESCRIBED:SHOWN]]
    if len(bad) > SHOWN:
        more = len(bad) - SHOWN
        lines.append(f"  and {more} more pair{'s' if more > 1 else ''}: `.difference.unequal` has them all")
    return "\n".join(lines)


def shared(bad: tuple[Pair, ...]) -> tuple[str | None, int]:
    """The hint that most of the pairs have, where several have it, and how many."""
    hints = Counter(pair.hint for pair in bad if pair.hint).most_common(1)
    return hints[0] if hints and hints[0][1] > 1 else (None, 0)


def described(pair: Pair, order: int, common: str | None) -> str:
    """Where the pair differs most, by how much, what is allowed, and a hint of its own."""
    eps = float(np.finfo(pair.dtype).eps)
    lines = [
        f"  {_title(pair, order)}  {pair.outside}/{np.prod(pair.shape, dtype=int)} outside",
        f"    worst {list(pair.worst)}: actual {pair.actual:.12e}, expected {pair.expected:.12e}",
        f"    error {pair.error:.2e} = {pair.relative_error:.2e} of leaf scale {pair.scale:.2e} = {pair.eps:.3g} eps; "
        f"allowed {pair.tolerance:.2e} = {pair.tolerance / eps:.3g} eps",
    ]
    own = pair.hint if pair.hint != common else None
    return "\n".join([*lines, *([f"    hint: {own}"] if own else [])])


def line(pair: Pair, order: int, common: str | None) -> str:
    own = f"; {pair.hint}" if pair.hint and pair.hint != common else ""
    return f"  {_title(pair, order)}  {pair.outside} outside, {pair.relative_error:.2e} of leaf scale{own}"


def _title(pair: Pair, order: int) -> str:
    head = f"d {pair.loss} / d {pair.parameter}" if order == 1 else f"(H v) of {pair.loss} at {pair.parameter}"
    return f"{head}  {pair.dtype}{list(pair.shape)}"
