"""A reader's own pair: two functions of one {name: array}, compared and diagnosed."""

from collections.abc import Mapping
from pathlib import Path

from comparisons import results
from comparisons.check.explain import explained
from comparisons.check.reader import ReaderFailure, arrays, layout_of, load
from comparisons.check.table import rows
from comparisons.difference import TOLERANCE
from comparisons.layout import Layout, to_flax
from comparisons.testing import Agreement, GradientMismatch, assert_losses_match, flat
from comparisons.usage import BadUsage


def compare(
    torch: str,
    jax: str,
    params: Path | None = None,
    order: int = 1,
    explain: tuple[str, str] | None = None,
    tolerance: float = TOLERANCE,
    json: Path | None = None,
) -> int:
    """Print the diagnosis; 0 where all is equal, 1 where not."""
    torch_module, torch_losses = load("TORCH", torch)
    jax_module, jax_losses = load("JAX", jax)
    layout = layout_of(jax_module, jax)
    given = arrays(params, torch_module, torch)
    found: Agreement | GradientMismatch
    try:
        found = assert_losses_match(torch_losses, jax_losses, given, layout=layout, order=order, tolerance=tolerance)
    except GradientMismatch as error:
        found = error
    except BadUsage:
        raise
    except KeyError as error:
        raise ReaderFailure(error, _names(given, layout)) from None
    except (Exception, SystemExit) as error:
        raise ReaderFailure(error) from None
    pairs = found.gradients if isinstance(found, Agreement) else found.difference
    if json:
        document = {"schema": results.SCHEMA, "environment": results.environment("cpu"), "check": rows(found)}
        results.write(json, document)
    print(found)
    if pairs.rest:
        print(f"the other pairs that differ:\n{pairs.rest}")
    if explain is not None:
        print(f"\n{explained(pairs, *explain, layout)}")
    if json:
        print(f"written: {json}")
    return int(isinstance(found, GradientMismatch))


def _names(given: Mapping, layout: Layout | None) -> set[str]:
    """The parameters' names on both sides."""
    own = flat(given)
    return {*own, *(to_flax(own, layout) if layout else ())}  # type: ignore[arg-type]
