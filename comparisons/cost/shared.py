"""What strategies share and what they compute again, in products of square matrices.

Two losses without weights of their own, a sum and a sum of squares, on four layers whose batch is as large as their
width: every product costs the same, so FLOPs count products.
"""

from collections.abc import Callable, Iterable
from functools import partial

import jax

import jax_impl.cost
import torch_impl.cost
from comparisons.cost.calls import scope
from comparisons.memory import sides
from comparisons.problems import many_heads
from comparisons.rows import Row, failed

WIDTH, LAYERS = 64, 4
PRODUCT = 2 * WIDTH**3
PULL = 2 * LAYERS - 1  # the first layer's input needs no gradient
HEADS: dict[str, Callable] = {"sum": lambda p, z: z.sum(), "squares": lambda p, z: (z**2).sum()}
EXAMPLES = {
    "the gradient of the sum": ("summed", LAYERS + PULL),
    "the sum of two gradients, one forward": ("per_loss_retained", LAYERS + 2 * PULL),
    "the sum of two gradients, each with its forward": ("per_loss_recomputed", 2 * (LAYERS + PULL)),
    "two gradients, each a program of its own": ("", 2 * (LAYERS + PULL)),
}
MERGED = "one program: the two forwards are equal, and run once"


def rows() -> list[Row]:
    """A row for each example and framework: products counted, predicted, and XLA's own count beside."""
    return [_row(framework, says) for framework in ("torch", "jax") for says in EXAMPLES]


def _row(framework: str, says: str) -> Row:
    strategy, predicted = EXAMPLES[says]
    merged = (framework, strategy) == ("jax", "per_loss_recomputed")
    row: Row = {
        "id": f"cost/shared/{says.replace(' ', '-').replace(',', '')}/{framework}",
        "kind": "shared",
        "says": says,
        "framework": framework,
        "predicted": LAYERS + 2 * PULL if merged else predicted,
        "why": MERGED if merged else "",
        "status": "ok",
    }
    try:
        row |= in_torch(strategy) if framework == "torch" else in_jax(strategy)
    except Exception as error:
        return failed(row, error)
    wrong = [key for key in ("products", "xla") if key in row and round(row[key]) != row["predicted"]]
    if wrong:
        told = f"{wrong[0]} {row[wrong[0]]:.2f}, but theory says {row['predicted']}"
        return row | {"status": "differs", "reason": told}
    return row


def in_torch(strategy: str) -> Row:
    """Eager PyTorch has no programs: apart or not, `per_loss_recomputed` is what it runs."""
    side = sides.torch_side("many_heads", many_heads(WIDTH, WIDTH, LAYERS, losses=1))
    losses = type(side.losses)(side.losses.trunk, HEADS)
    counted = torch_impl.cost.flops(sides.run(strategy or "per_loss_recomputed", side._replace(losses=losses)))
    return {"products": counted / PRODUCT}


def in_jax(strategy: str) -> Row:
    """The jaxpr's products, and those of the compiled programs, to the elementwise work that XLA counts too."""
    with scope():
        side = sides.jax_side("many_heads", many_heads(WIDTH, WIDTH, LAYERS, losses=1))
        losses = type(side.losses)(side.losses.trunk, HEADS)
        if strategy:
            programs: Iterable[Callable] = [partial(getattr(jax_impl.first_order, strategy), losses)]
        else:
            programs = [jax.grad(lambda p, head=head: head(p, losses.trunk(p))) for head in HEADS.values()]
        counted = sum(jax_impl.cost.flops(program, side.params) for program in programs)
        compiled = [jax.jit(program).lower(side.params).compile().cost_analysis() for program in programs]
    return {"products": counted / PRODUCT, "xla": sum(found["flops"] for found in compiled) / PRODUCT}
