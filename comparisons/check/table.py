"""A comparison as rows: each loss's value, each pair of each comparison, and what finite differences said."""

from collections.abc import Iterable, Mapping

from comparisons.difference import Difference
from comparisons.rows import Row
from comparisons.testing import Agreement, GradientMismatch
from comparisons.testing.agreement import Value
from comparisons.testing.slopes import Slope


def rows(found: Agreement | GradientMismatch) -> list[Row]:
    """Flat and JSON-able; `kind` is value, gradient, product, float32 or slope."""
    differences: tuple[Difference, ...] = ()
    float32: Mapping[str, Difference | str] = {}
    slopes: tuple[Slope, ...] = ()
    if isinstance(found, GradientMismatch):
        differences, slopes = (found.difference,), found.slopes
    else:
        differences, float32 = (found.gradients, *found.products), found.float32
    table = [_value(value, differences[0].pairs[0].tolerance) for value in found.values]
    for number, difference in enumerate(differences):
        table += _pairs(difference, "gradient" if difference.order == 1 else f"product {max(number, 1)}")
    for side, single in float32.items():
        if isinstance(single, str):
            table.append({"id": f"check/float32 {side}", "kind": "float32", "status": "not_measured", "reason": single})
        else:
            table += [row | {"framework": side} for row in _pairs(single, f"float32 {side}")]
    return [*table, *_slopes(slopes)]


def _value(value: Value, tolerance: float) -> Row:
    row = {"id": f"check/value/{value.loss}", "kind": "value", **value._asdict()}
    row |= {"relative_error": value.relative_error, "tolerance": tolerance}
    if value.relative_error <= tolerance:
        return row | {"status": "ok"}
    return row | {"status": "differs", "reason": f"{value.relative_error:.1e} of {value.scale:.1e}"}


def _pairs(found: Difference, kind: str) -> Iterable[Row]:
    for pair in found.pairs:
        row: Row = {
            "id": f"check/{kind}/{pair.loss}/{pair.parameter}",
            "kind": kind.partition(" ")[0],
            "order": found.order,
            "loss": pair.loss,
            "parameter": pair.parameter,
            "dtype": pair.dtype,
            "shape": list(pair.shape),
            "error": pair.error,
            "scale": pair.scale,
            "relative_error": pair.relative_error,
            "eps": pair.eps,
            "tolerance": None if pair.tolerance == float("inf") else pair.tolerance,
            "outside": pair.outside,
            "worst": list(pair.worst),
            "unused": pair.unused,
            "status": "ok" if pair.equal else "differs",
        }
        yield row if pair.equal else row | {"reason": pair.hint or f"{pair.relative_error:.1e} of leaf scale"}


def _slopes(slopes: tuple[Slope, ...]) -> Iterable[Row]:
    for slope in slopes:
        row = {"id": f"check/slope/{slope.loss}/{slope.side}", "kind": "slope", **slope._asdict()}
        if slope.right is None:
            yield row | {"status": "not_measured", "reason": "too near the other side's for finite differences to tell"}
        else:
            yield row | ({"status": "ok"} if slope.right else {"status": "differs", "reason": str(slope)})
