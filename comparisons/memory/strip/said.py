"""What a strip says beyond its rows: its claim, and what only the strategy's code can tell.

Every sentence stands for something that the rows or a run of the code must show: tests/test_strip_words.py.
"""

from typing import NamedTuple

RETAINED = "`retain_graph=True`"
CUT = "the trunk waits for a backward of its own"

ONE_LESS, SQUARED = "1\N{MINUS SIGN}tanh", "1\N{MINUS SIGN}tanh²"

GRAPH = "A block is a tensor saved for backward, by the operation that keeps it; weights and batch are not counted."
KEPT = "A pullback keeps each tanh's output and {}, and `input`, a copy of the batch; weights are not counted."
RESIDUALS = {  # by the primitive that JAX makes of a tanh's derivative: its own from 0.11.2 on
    "sub": KEPT.format(f"`{ONE_LESS}`, for the derivative `({ONE_LESS})(1+tanh)`"),
    "one_minus_square": KEPT.format(f"its derivative, `{SQUARED}`"),
}
AT_ONCE = "each head is one call of `jax.grad` and leaves no block."
TRUNK_FOR_EACH = (
    f"`jax.vjp` of the trunk gives one pullback, its backward as a function, pulled by A, then by B; {AT_ONCE}"
)
TRUNK_FOR_BOTH = f"`jax.vjp` of the trunk gives one pullback, pulled once for both; {AT_ONCE}"
ALL_FOR_EACH = "`jax.vjp` of trunk and heads together gives one pullback, pulled for A, then for B."
ALL_FOR_BOTH = "`jax.vjp` of trunk and heads together gives one pullback, pulled once for both."
APART = (
    "`jax.vjp` of the trunk gives a pullback, and of each head another: A pulls its own and the trunk's, then B does."
)

OPERATIONS = {"sub": ONE_LESS, "one_minus_square": SQUARED, "mul": "2·error"}  # what JAX's primitives make here


class Said(NamedTuple):
    """A strip's title; why PyTorch's trunk stays although a backward has run; what JAX pulls."""

    claim: str
    why: str = ""
    pulled: str = ""


SAID = {
    "summed": Said("One backward frees everything"),
    "summed_checkpointed": Said("The trunk keeps its output alone, and one backward frees everything"),
    "summed_split": Said("One head at a time, freed at once; the trunk waits for one last pass", CUT, TRUNK_FOR_BOTH),
    "accumulated": Said(
        "PyTorch frees what no other graph still holds; JAX drops one whole pullback after another", RETAINED, APART
    ),
    "per_loss_retained": Said(
        "PyTorch frees what no other graph still holds; JAX holds one whole pullback until it is dropped",
        RETAINED,
        TRUNK_FOR_EACH,
    ),
    "per_loss_recomputed": Said("A forward for each loss: its backward frees everything before the next begins"),
    "per_loss_one_hot": Said(
        "Every backward visits both heads: PyTorch's last frees everything, JAX's pullback waits to be dropped",
        RETAINED,
        ALL_FOR_EACH,
    ),
    "per_loss_batched": Said(
        "One backward for both frees everything; JAX's pullback waits to be dropped", "", ALL_FOR_BOTH
    ),
    "per_loss_chunked": Said(
        "One backward for both frees everything; JAX's pullback waits to be dropped", "", ALL_FOR_BOTH
    ),
    "per_loss_split": Said("One head at a time, freed at once; the trunk waits for one last pass", CUT, TRUNK_FOR_BOTH),
    "per_loss_grouped": Said(
        "PyTorch frees both heads first and the trunk last; JAX's pullback waits to be dropped", CUT, TRUNK_FOR_BOTH
    ),
    "feature_gradients": Said("One head at a time, freed at once; nothing of the trunk is held"),
}
