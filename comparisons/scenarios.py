"""The table: which strategies exist, what each gives, and which problems it runs on."""

from typing import NamedTuple

from comparisons.problems import SIZES

REFERENCE = "per_loss_retained"


class Strategy(NamedTuple):
    """What a strategy gives: the `total` gradient, one `per_loss`, one number per loss `along` a direction, or one
    array per loss with respect to the `features`. Of second order: a `product` with a direction, the `hessian` or its
    `diagonal`, per loss and for the sum. `main` strategies run on every problem, the others on `digits` alone unless
    the whole grid is asked for.
    """

    gives: str
    main: bool = False
    order: int = 1

    @property
    def takes_direction(self) -> bool:
        return self.gives in ("along", "product")


STRATEGIES = {
    "summed": Strategy("total", main=True),
    "summed_checkpointed": Strategy("total"),
    "summed_split": Strategy("total"),
    "accumulated": Strategy("total"),
    "per_loss_retained": Strategy("per_loss", main=True),
    "per_loss_recomputed": Strategy("per_loss"),
    "per_loss_one_hot": Strategy("per_loss"),
    "per_loss_batched": Strategy("per_loss", main=True),
    "per_loss_chunked": Strategy("per_loss"),
    "per_loss_split": Strategy("per_loss"),
    "per_loss_functional": Strategy("per_loss"),
    "per_loss_grouped": Strategy("per_loss"),
    "directional": Strategy("along"),
    "feature_gradients": Strategy("features"),
}
SECOND_ORDER = {
    "hvp_forward_over_reverse": Strategy("product", order=2),
    "hvp_reverse_over_forward": Strategy("product", order=2),
    "hvp_reverse_over_reverse": Strategy("product", main=True, order=2),
    "gauss_newton_vp": Strategy("product", order=2),
    "hessian": Strategy("hessian", order=2),
    "hessian_diagonal": Strategy("diagonal", order=2),
}
EVERY = STRATEGIES | SECOND_ORDER


class Cell(NamedTuple):
    """One entry of the grid. Without `jit`, JAX runs the strategy operation by operation."""

    problem: str
    strategy: str
    dtype: str = "float64"
    jit: bool = True


def on_digits(problem: str, strategy: Strategy) -> bool:
    """Whether the default run takes it beside the main strategies: every one of first order on the digits."""
    return problem == "digits" and strategy.order == 1


def cells(full: bool = False, problems=(), strategies=(), dtypes=(), table=STRATEGIES) -> list[Cell]:
    """The grid's cells in order, narrowed to the named problems, strategies and dtypes where any are named.

    `table` is STRATEGIES, SECOND_ORDER or EVERY. Naming a problem or a strategy asks for all of its cells. float32 is
    taken for `summed` and `per_loss_retained`.
    """
    grid = []
    for problem in SIZES:
        for name, strategy in table.items():
            if full or problem in problems or name in strategies or strategy.main or on_digits(problem, strategy):
                grid.append(Cell(problem, name))
                if name in ("summed", REFERENCE) or "float32" in dtypes:
                    grid.append(Cell(problem, name, "float32"))
        if problem == "digits" and REFERENCE in table:
            grid.append(Cell(problem, REFERENCE, jit=False))
    return [
        cell
        for cell in grid
        if (not problems or cell.problem in problems)
        and (not strategies or cell.strategy in strategies)
        and (not dtypes or cell.dtype in dtypes)
    ]
