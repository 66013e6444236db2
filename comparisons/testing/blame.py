"""Two functions differ: in their values or only in their derivatives, by rounding or not, and which side is wrong."""

from collections.abc import Callable, Mapping, Sequence

from comparisons.difference import Difference
from comparisons.layout import Arrays
from comparisons.testing.agreement import Value
from comparisons.testing.conditioning import rounding
from comparisons.testing.gradients import GradientMismatch
from comparisons.testing.slopes import Slope, first_order, second_order

CUT = {
    1: "a detach, a stop_gradient or a custom derivative cuts {!r} there",
    2: "a detach, a stop_gradient or a custom derivative inside the gradient of {!r}",
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
    explained = rounding(found, wrong, params, sides)
    excused = {(pair.loss, pair.parameter) for pair, _ in explained.pairs}
    serious = list(dict.fromkeys(p.loss for p in found.unequal if (p.loss, p.parameter) not in excused))
    slopes = _each(serious, lambda loss: first_order(loss, params, {s: g[loss] for s, g in grads.items()}, sides))
    head = "loss values agree; their gradients do not"
    if wrong:
        head = f"loss values differ in {len(wrong)} of {len(values)}: "
        same = len(explained.values) == len(wrong)
        head += "by rounding" if same else "the two compute different functions, before any gradient"
    unsure = [f"  {note}" for note in notes] if wrong and len(explained.values) < len(wrong) else []
    untold = "\n".join(["what `port` noted:", *unsure]) if unsure else ""
    after = "\n".join(filter(None, (str(explained), _said(slopes), untold)))
    return GradientMismatch(found, "\n".join([head, *map(str, wrong)]), after, values, slopes)


def second(
    found: Difference, values: tuple[Value, ...], params: Arrays, along: Arrays, products: Mapping, sides: Mapping
) -> GradientMismatch:
    """`products[side]` maps losses to that side's Hessian-vector products along `along`."""
    losses = list(dict.fromkeys(pair.loss for pair in found.unequal))
    slopes = _each(
        losses, lambda loss: second_order(loss, params, along, {s: p[loss] for s, p in products.items()}, sides)
    )
    head = "losses and gradients agree; the second derivatives do not"
    return GradientMismatch(found, head, _said(slopes), values, slopes)


def _each(losses: list[str], test: Callable[[str], list[Slope]]) -> tuple[Slope, ...]:
    return tuple(slope for loss in losses[:3] for slope in test(loss))


def _said(slopes: tuple[Slope, ...]) -> str:
    lines: list[str] = []
    for loss in dict.fromkeys(slope.loss for slope in slopes):
        own = [slope for slope in slopes if slope.loss == loss]
        lines += map(str, own)
        wrong = [slope.side for slope in own if slope.right is False]
        if len(wrong) == 1:
            lines.append(f"-> fix {wrong[0]}: {CUT[own[0].order].format(loss)}")
        elif all(slope.right for slope in own):
            lines.append(f"-> each side differentiates its own {loss!r} rightly: the two functions differ")
        elif len(wrong) > 1:
            lines.append(f"-> neither side differentiates its own {loss!r} rightly, or it is not smooth there")
    return "\n".join(lines)
