"""Where strategies are not equal: the cases, and what each strategy is predicted to give in each framework.

A strategy's gradient is compared with what `per_loss_retained` implies for it. Its predicted outcome is `equal`,
unless the case names another:
  different  finite, or not finite, but not the same
  poisoned   NaN or infinite where the reference is finite
  raises     an error
`torch_runs` and `jax_runs` say how often the trunk is predicted to run, where that is counted (once, if not named).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from comparisons.scenarios import STRATEGIES

ACROSS = ("per_loss_one_hot", "per_loss_batched", "per_loss_chunked", "per_loss_functional")
AT_FEATURES = ("summed", "summed_checkpointed", "summed_split")
BATCHED = ("per_loss_batched", "per_loss_chunked", "per_loss_split", "per_loss_grouped")


class Expected(NamedTuple):
    """Strategies that come out alike, and why; an error is recognised by a part of its text."""

    outcome: str
    strategies: tuple[str, ...]
    why: str
    text: str = ""


class Case(NamedTuple):
    """Where the losses are (`module.name` in both trees), at which parameters, and what is predicted.

    `exact` is the gradient of each loss worked out by hand, per framework where conventions differ; without it,
    `per_loss_retained` is the reference, of the case `like` where this one's own is not to be trusted. `sides` says
    whether the two frameworks' per-loss gradients agree.
    """

    losses: str
    kind: str
    params: dict[str, list]
    both: tuple[Expected, ...] = ()
    torch: tuple[Expected, ...] = ()
    jax: tuple[Expected, ...] = ()
    exact: Mapping[str, dict[str, dict[str, list]]] = MappingProxyType({})
    sides: str = "equal"
    why_sides: str = ""
    dtype: str = "float64"
    tolerance: float = 1e-12
    torch_runs: dict[str, int] | None = None
    jax_runs: dict[str, int] | None = None
    like: str = ""


INF, NAN = float("inf"), float("nan")


def _exact(b: list, jax: list | None = None) -> dict[str, dict[str, dict[str, list]]]:
    """By hand: a = 3 (w0 + w1) has gradient 3 everywhere, b's is given, JAX's apart where its convention differs."""
    return {side: {"a": {"w": [3.0, 3.0]}, "b": {"w": own}} for side, own in (("torch", b), ("jax", jax or b))}


def _same(**losses: dict[str, list]) -> dict[str, dict[str, dict[str, list]]]:
    return {"torch": losses, "jax": losses}


def _poisoned(what: str) -> Expected:
    return Expected("poisoned", ACROSS, f"the cotangent 0 is multiplied by {what} in b's head, for a's sake")


CAPTURED = Expected(
    "raises",
    ("per_loss_functional", "directional"),
    "torch.func refuses to change a captured tensor in place",
    "mutate a captured Tensor",
)
HOOKS = Expected(
    "raises",
    ("per_loss_functional",),
    "torch.func refuses the saved-tensor hooks that a checkpoint is made of",
    "saved tensor hooks",
)
DRAWS = Expected(
    "raises",
    BATCHED,
    "the recomputation draws inside vmap, where torch allows no random numbers",
    "random operations inside of vmap",
)
WRITES = Expected(
    "raises",
    (*BATCHED, "per_loss_functional"),
    "the recomputation writes the state inside vmap",
    "unbatched array reference",
)
FRESH = Expected("different", ("per_loss_recomputed",), "each loss has a forward, and a mask, of its own")
MATRIX = [[0.5, -0.25, 1.0], [1.5, 0.75, -0.5], [-1.0, 0.25, 0.5]]
RUNS = {"per_loss_recomputed": 4, "summed_checkpointed": 2}
RUNS_AGAIN = dict.fromkeys(STRATEGIES, 2) | {
    "per_loss_retained": 5,
    "per_loss_recomputed": 8,
    "per_loss_one_hot": 5,
    "per_loss_chunked": 3,
    "summed_checkpointed": 3,
    "accumulated": 5,
    "directional": 1,
    "feature_gradients": 1,
}

CASES = {
    "infinite_loss": Case(
        "singular.infinite_loss", "singular", {"w": [0.0, 1.0]}, exact=_exact([INF, 0.5]), both=(_poisoned("infinity"),)
    ),
    "infinite_head": Case(
        "singular.infinite_head",
        "singular",
        {"w": [1.0, 2.0], "v": [0.0, 1.0]},
        exact=_same(a={"w": [3.0, 3.0], "v": [0.0, 0.0]}, b={"w": [0.0, 1.0], "v": [INF, 1.0]}),
        both=(_poisoned("infinity"),),
    ),
    "nan_loss": Case(
        "singular.nan_loss", "singular", {"w": [-1.0, 1.0]}, exact=_exact([NAN, 0.5]), both=(_poisoned("NaN"),)
    ),
    "infinite_trunk": Case(
        "singular.infinite_trunk",
        "singular",
        {"w": [0.0, 1.0]},
        exact=_same(a={"w": [INF, 0.5]}, b={"w": [NAN, 0.0]}),
        both=(Expected("different", AT_FEATURES, "1 + 0 meets the infinity once; one by one, inf + 0 x inf is NaN"),),
    ),
    "where_trap": Case(
        "singular.where_trap",
        "singular",
        {"w": [0.0, 1.0]},
        exact=_exact([NAN, 0.5]),
        both=(
            _poisoned("infinity"),
            Expected(
                "different", ("directional",), "a tangent is chosen after the root: forward mode has no where trap"
            ),
        ),
    ),
    "double_where": Case("singular.double_where", "singular", {"w": [0.0, 1.0]}, exact=_exact([0.0, 0.5])),
    "norm_at_zero": Case(
        "singular.norm_at_zero",
        "singular",
        {"w": [0.0, 0.0]},
        exact=_exact([0.0, 0.0], [NAN, NAN]),
        jax=(_poisoned("NaN"),),
        sides="poisoned",
        why_sides="PyTorch's norm has gradient 0 at 0, JAX's NaN",
    ),
    "tied_max": Case(
        "singular.tied_max",
        "tie",
        {"w": [2.0, 2.0]},
        exact=_exact([1.0, 0.0], [0.5, 0.5]),
        sides="different",
        why_sides="PyTorch's max along an axis gives a tie to the first, JAX to both in halves",
    ),
    "abs_at_zero": Case(
        "singular.abs_at_zero",
        "tie",
        {"w": [0.0, 1.0]},
        exact=_exact([0.0, 1.0], [1.0, 1.0]),
        sides="different",
        why_sides="|x|' at 0 is 0 in PyTorch and 1 in JAX",
    ),
    "dropout": Case(
        "stateful.dropout",
        "stochastic",
        {"w": MATRIX},
        both=(FRESH,),
        sides="different",
        why_sides="two generators, two masks",
    ),
    "dropout_keyed": Case(
        "stateful.dropout_keyed", "stochastic", {"w": MATRIX}, sides="different", why_sides="two generators, two masks"
    ),
    "dropout_rerun": Case(
        "stateful.dropout_rerun",
        "stochastic",
        {"w": MATRIX},
        torch=(FRESH, HOOKS, DRAWS),
        sides="different",
        why_sides="two generators, two masks",
        like="dropout",
    ),
    "dropout_forgot": Case(
        "stateful.dropout_forgot",
        "stochastic",
        {"w": MATRIX},
        torch=(
            HOOKS,
            DRAWS,
            Expected(
                "different",
                tuple(name for name in STRATEGIES if name not in ("directional", "feature_gradients")),
                "every backward recomputes the trunk with the mask that the generator gives next",
            ),
        ),
        sides="different",
        why_sides="two generators, two masks",
        like="dropout",
    ),
    "batch_norm": Case(
        "stateful.batch_norm", "stateful", {"w": MATRIX}, torch=(CAPTURED,), torch_runs=RUNS, jax_runs=RUNS
    ),
    "batch_norm_rerun": Case(
        "stateful.batch_norm_rerun",
        "stateful",
        {"w": MATRIX},
        like="batch_norm",
        torch=(HOOKS, CAPTURED),
        jax=(WRITES,),
        torch_runs=RUNS_AGAIN | {"summed_checkpointed": 2},
        jax_runs=RUNS_AGAIN,
    ),
    "power_iteration": Case(
        "stateful.power_iteration",
        "stateful",
        {"w": MATRIX},
        torch=(
            CAPTURED,
            Expected("different", ("per_loss_recomputed", "summed_checkpointed"), "a second run is another function"),
        ),
        jax=(
            Expected("different", ("per_loss_recomputed", "summed_checkpointed"), "a second run is another function"),
        ),
        torch_runs=RUNS,
        jax_runs=RUNS,
    ),
    "bfloat16": Case(
        "singular.bfloat16",
        "precision",
        {"w": MATRIX},
        both=(
            Expected("different", AT_FEATURES, "the sum of the losses' cotangents is rounded to bfloat16"),
            Expected("different", ("directional",), "the tangent is rounded, not the cotangent"),
        ),
        dtype="float32",
        tolerance=1e-6,
    ),
    "order": Case(
        "singular.order",
        "precision",
        {"w": [1.0]},
        exact=_same(loss0={"w": [1.0]}, loss1={"w": [1e8]}, loss2={"w": [-1e8]}),
        both=(
            Expected("different", ("summed", "summed_checkpointed"), "the engine adds the last loss first: 1, not 0"),
        ),
        dtype="float32",
        tolerance=1e-6,
    ),
}


def batch(case: Case) -> dict[str, np.ndarray]:
    """One batch for all cases: rows, targets, slopes, and the state that a trunk may change."""
    rng = np.random.default_rng(5)
    return {
        "x": rng.standard_normal((6, 3)),
        "targets": rng.standard_normal((4, 6, 3)),
        "slopes": np.array([1.0, 1e8, -1e8]),
        "running": np.array([0.6, 0.0, 0.8]),
        "updates": np.zeros(()),
    }


def predicted(case: Case, framework: str, strategy: str) -> Expected:
    for expected in (*case.both, *getattr(case, framework)):
        if strategy in expected.strategies:
            return expected
    return Expected("equal", (strategy,), "the same function at the same point, in another order of work")
