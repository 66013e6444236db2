"""Two functions differ: in their values or only in their derivatives, by rounding or not, and which side is wrong."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from comparisons.difference import Difference
from comparisons.layout import Arrays
from comparisons.testing.agreement import Value
from comparisons.testing.conditioning import rounding
from comparisons.testing.gradients import GradientMismatch
from comparisons.testing.sides import Side
from comparisons.testing.slopes import WHAT, Slope, first_order, second_order

CUT = {
    1: "a detach, a stop_gradient, a custom derivative or a cast inside {!r}",
    2: "a detach, a stop_gradient, a custom derivative or a cast inside the gradient of {!r}",
}


def first(
    found: Difference,
    values: tuple[Value, ...],
    tolerance: float,
    params: Arrays,
    grads: Mapping,
    sides: Mapping,
    notes: Sequence[str] = (),
) -> GradientMismatch:
    """`grads[side]` maps losses to that side's gradients; `notes` are what `port` left open."""
    wrong = [value for value in values if value.relative_error > tolerance]
    explained, unsteady = rounding(found, wrong, params, sides), _unsteady(wrong, params, sides)
    excused = {(pair.loss, pair.parameter) for pair, _ in explained.pairs}
    differing = dict.fromkeys(p.loss for p in found.unequal if (p.loss, p.parameter) not in excused)
    serious = [loss for loss in differing if loss not in unsteady]
    slopes = _each(serious, lambda loss: first_order(loss, params, {s: g[loss] for s, g in grads.items()}, sides))
    head = "loss values agree; their gradients do not"
    excused_losses = {*unsteady, *(slope.loss for slope in slopes if slope.flat)}
    apart = [value for value in wrong if value not in explained.values and value.loss not in excused_losses]
    if wrong:
        chance = "by chance" if unsteady else "by rounding"
        why = "the two compute different functions, before any gradient" if apart else chance
        head = f"loss values differ in {len(wrong)} of {len(values)}: {why}"
    untold = ["what `port` noted:", *(f"  {note}" for note in notes)] if notes and apart else []
    lines = [head, *map(str, wrong), str(explained), *unsteady.values(), *_infinite(serious, grads), _said(slopes)]
    return GradientMismatch(found, "\n".join(filter(None, [*lines, *untold])), values, slopes)


def second(
    found: Difference, values: tuple[Value, ...], params: Arrays, along: Arrays, products: Mapping, sides: Mapping
) -> GradientMismatch:
    """`products[side]` maps losses to that side's Hessian-vector products along `along`."""
    losses = list(dict.fromkeys(pair.loss for pair in found.unequal))
    slopes = _each(
        losses, lambda loss: second_order(loss, params, along, {s: p[loss] for s, p in products.items()}, sides)
    )
    head = "losses and gradients agree; the second derivatives do not"
    return GradientMismatch(found, "\n".join(filter(None, [head, _said(slopes)])), values, slopes)


def _unsteady(wrong: list[Value], params: Arrays, sides: Mapping[str, Side]) -> dict[str, str]:
    """The losses that are not the same when a side computes them again, and what that says."""
    found: dict[str, str] = {}
    for name, side in sides.items() if wrong else ():
        again = side.values([params])[0]
        for value in wrong:
            before, after = getattr(value, name), again[value.loss]
            if abs(before - after) > 1e-9 * value.scale:
                found[value.loss] = (
                    f"-> {name}'s {value.loss!r} changes from one call to the next ({before:.6g}, then {after:.6g}): "
                    "dropout left on, or numbers drawn without a seed"
                )
    return found


def _infinite(losses: list[str], grads: Mapping[str, Mapping[str, Arrays]]) -> Iterator[str]:
    for loss in losses:
        for side, own in grads.items():
            if any(g is not None and not np.isfinite(g).all() for g in own[loss].values()):
                yield f"-> fix {side}: its gradient of {loss!r} is not finite where {loss!r} is: a root or a log at 0?"


def _each(losses: list[str], test: Callable[[str], list[Slope]]) -> tuple[Slope, ...]:
    return tuple(slope for loss in losses[:3] for slope in test(loss))


def _said(slopes: tuple[Slope, ...]) -> str:
    lines: list[str] = []
    for loss in dict.fromkeys(slope.loss for slope in slopes):
        own = [slope for slope in slopes if slope.loss == loss]
        lines += map(str, own)
        wrong = [slope.side for slope in own if slope.right is False]
        if any(slope.flat for slope in own):
            what, _ = WHAT[own[0].order]
            lines.append(
                f"-> {loss!r} is flat where the sides differ: no {what} can be compared there; take other parameters, "
                "or leave it out"
            )
        elif not wrong and any(slope.kink for slope in own):
            lines.append(f"-> {loss!r} is not smooth here (a relu, an abs, a tie): each side takes its own subgradient")
        elif len(wrong) == 1:
            other = next(slope.side for slope in own if slope.side != wrong[0])
            cut = CUT[own[0].order].format(loss)
            lines.append(f"-> fix {wrong[0]}: {cut}; or, if {wrong[0]} cuts there on purpose, {other} lacks it")
        elif all(slope.right for slope in own):
            lines.append(f"-> each side differentiates its own {loss!r} rightly: the two functions differ")
        elif len(wrong) > 1:
            lines.append(
                f"-> neither gradient is the derivative of its own {loss!r}: if both cut there on purpose, the two "
                "functions differ; else a cut is wrong, or it is not smooth there"
            )
    return "\n".join(lines)
