"""What strategies share and what they compute again.

In products of square matrices: two losses without weights of their own, a sum and a sum of squares, on four layers
whose batch is as large as their width, so that every product costs the same. In visits: how often the heads of a
problem with heavy heads are gone through backward.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax

import jax_impl.cost
import jax_impl.first_order
import torch_impl.cost
from comparisons.cost import theory
from comparisons.cost.calls import scope
from comparisons.memory import sides
from comparisons.problems import many_heads
from comparisons.rows import Row, failed

WIDTH, LAYERS, K = 64, 4, 4
SQUARE = {"batch": WIDTH, "width": WIDTH, "depth": LAYERS, "losses": 1}
HEAVY = {"batch": 64, "width": 64, "depth": 1, "losses": K, "hidden": 128}
PULL = 2 * LAYERS - 1  # the first layer's input needs no gradient
HEADS: dict[str, Callable] = {"sum": lambda p, z: z.sum(), "squares": lambda p, z: (z**2).sum()}
MERGED = "one program: the two forwards are equal, and run once"


class Example(NamedTuple):
    """A strategy, or each gradient as a program of its own (""), and how many it should be."""

    strategy: str
    predicted: int
    visits: bool = False


EXAMPLES = {
    "products: the gradient of the sum": Example("summed", LAYERS + PULL),
    "products: the sum of two gradients, one forward": Example("per_loss_retained", LAYERS + 2 * PULL),
    "products: the same, each with its forward": Example("per_loss_recomputed", 2 * (LAYERS + PULL)),
    "products: the same, each a program of its own": Example("", 2 * (LAYERS + PULL)),
    f"visits of all heads, K={K}: one by one": Example("per_loss_retained", 1, visits=True),
    f"visits of all heads, K={K}: one-hot cotangents": Example("per_loss_one_hot", K, visits=True),
    f"visits of all heads, K={K}: batched cotangents": Example("per_loss_batched", K, visits=True),
}


def rows() -> list[Row]:
    """A row for each example and framework: counted, predicted, and XLA's own count beside."""
    return [_row(framework, says, example) for framework in ("torch", "jax") for says, example in EXAMPLES.items()]


def _row(framework: str, says: str, example: Example) -> Row:
    merged = (framework, example.strategy) == ("jax", "per_loss_recomputed")
    name = "-".join(says.replace(":", "").replace(",", "").split())
    row: Row = {
        "id": f"cost/shared/{name}/{framework}",
        "kind": "shared",
        "says": says,
        "framework": framework,
        "predicted": LAYERS + 2 * PULL if merged else example.predicted,
        "why": MERGED if merged else "",
        "status": "ok",
    }
    try:
        flops = in_torch(example) if framework == "torch" else in_jax(example)
    except Exception as error:
        return failed(row, error)
    row |= {key: _in_units(example, value) for key, value in flops.items()}
    wrong = [key for key in flops if round(row[key]) != row["predicted"]]
    if wrong:
        told = f"{wrong[0]} {row[wrong[0]]:.2f}, but theory says {row['predicted']}"
        return row | {"status": "differs", "reason": told}
    return row


def in_torch(example: Example) -> dict[str, float]:
    """Eager PyTorch has no programs: apart or not, `per_loss_recomputed` is what it runs."""
    side = sides.torch_side("many_heads", many_heads(**(HEAVY if example.visits else SQUARE)))
    take = sides.run(example.strategy or "per_loss_recomputed", side._replace(losses=_losses(side, example)))
    return {"counted": torch_impl.cost.flops(take)}


def in_jax(example: Example) -> dict[str, float]:
    """The jaxpr's FLOPs, and those of the compiled programs, to the elementwise work that XLA counts too."""
    with scope():
        side = sides.jax_side("many_heads", many_heads(**(HEAVY if example.visits else SQUARE)))
        losses = _losses(side, example)
        if example.strategy:
            programs: Iterable[Callable] = [partial(getattr(jax_impl.first_order, example.strategy), losses)]
        else:
            programs = [jax.grad(lambda p, head=head: head(p, losses.trunk(p))) for head in HEADS.values()]
        counted = sum(jax_impl.cost.flops(program, side.params) for program in programs)
        compiled = [jax.jit(program).lower(side.params).compile().cost_analysis() for program in programs]
    return {"counted": counted, "xla": sum(found["flops"] for found in compiled)}


def _losses(side: sides.Side, example: Example) -> Any:
    return side.losses if example.visits else type(side.losses)(side.losses.trunk, HEADS)


def _in_units(example: Example, flops: float) -> float:
    """Products of square matrices; or, less what the trunk and the forward cost, backwards of all the heads."""
    if not example.visits:
        return flops / (2 * WIDTH**3)
    parts = theory.many_heads(**HEAVY)
    return (flops - parts.trunk - sum(parts.heads) - K * parts.pull) / (2 * sum(parts.heads))
