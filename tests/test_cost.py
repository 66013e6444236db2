"""FLOPs: the same on both sides, and equal to what theory says of a trunk and K heads."""

from functools import cache

import jax
import jax.numpy as jnp
import pytest
import torch

import jax_impl.cost as in_jax
import jax_impl.first_order
import jax_impl.models.many_heads as jax_model
import torch_impl.cost as in_torch
import torch_impl.first_order
import torch_impl.models.many_heads as torch_model
from comparisons.layout import to_flax
from comparisons.problems import many_heads
from comparisons.scenarios import STRATEGIES

K = 4
PROBLEM = many_heads(batch=8, width=16, depth=3, losses=K, hidden=4)
TRUNK, FIRST = 3 * 2 * 8 * 16 * 16, 2 * 8 * 16 * 16  # the trunk's forward; its first layer's input needs no gradient
HEADS = K * 2 * 8 * (16 * 4 + 4)  # all K heads' forward
PULL = 2 * TRUNK - FIRST  # one cotangent through the trunk
ONE_BY_ONE, TOGETHER = TRUNK + K * PULL + 3 * HEADS, TRUNK + HEADS + K * (PULL + 2 * HEADS)
THEORY = {
    "summed": TRUNK + PULL + 3 * HEADS,
    "summed_checkpointed": 2 * TRUNK + PULL + 3 * HEADS,
    "summed_split": TRUNK + PULL + 3 * HEADS,
    "accumulated": ONE_BY_ONE,
    "per_loss_retained": ONE_BY_ONE,
    "per_loss_recomputed": K * (TRUNK + PULL) + 3 * HEADS,
    "per_loss_one_hot": TOGETHER,
    "per_loss_batched": TOGETHER,
    "per_loss_chunked": TOGETHER,
    "per_loss_split": ONE_BY_ONE,
    "per_loss_functional": TOGETHER,
    "directional": TRUNK + PULL + 3 * HEADS,
    "feature_gradients": TRUNK + 2 * HEADS,
}
# Forward mode in PyTorch multiplies by the input's zero tangent; XLA runs K equal forwards in one program once.
DEVIATIONS = {("torch", "directional"): FIRST, ("jax", "per_loss_recomputed"): -(K - 1) * TRUNK}


def test_every_strategy_has_its_theory():
    assert set(THEORY) == set(STRATEGIES)


@pytest.mark.parametrize("strategy", THEORY)
def test_torch_runs_what_theory_says(strategy):
    params = {name: torch.tensor(a, requires_grad=True) for name, a in PROBLEM.params.items()}
    losses = torch_model.losses({name: torch.tensor(a) for name, a in PROBLEM.batch.items()})
    rest = [params] if strategy == "directional" else []
    found = in_torch.flops(getattr(torch_impl.first_order, strategy), losses, params, *rest)
    assert found == THEORY[strategy] + DEVIATIONS.get(("torch", strategy), 0)


@cache
def jax_arrays():
    params = {name: jnp.asarray(a, "float32") for name, a in to_flax(PROBLEM.params, PROBLEM.layout).items()}
    return params, {name: jnp.asarray(a, "float32") for name, a in PROBLEM.batch.items()}


@pytest.mark.parametrize("strategy", THEORY)
def test_jax_needs_what_theory_says(strategy):
    params, batch = jax_arrays()
    rest = [params] if strategy == "directional" else []

    def run(params, batch):
        return getattr(jax_impl.first_order, strategy)(jax_model.losses(batch), params, *rest)

    found = in_jax.flops(run, params, batch)
    assert found == THEORY[strategy] + DEVIATIONS.get(("jax", strategy), 0)


def test_a_loop_counts_as_often_as_it_runs_and_dead_code_not_at_all():
    w, x = jnp.ones((4, 4)), jnp.ones((2, 4))

    def loop(w):
        return jax.lax.scan(lambda h, _: (h @ w, None), x, None, length=7)[0]

    once = 2 * 2 * 4 * 4
    assert in_jax.flops(loop, w) == 7 * once
    assert in_jax.flops(lambda w: (x @ w, x @ w), w) == once
    assert in_jax.flops(lambda w: (x @ w, (w @ w).sum())[0], w) == once
    assert in_jax.flops(lambda w: jax.lax.cond(w.sum() > 0, lambda: x @ w, lambda: x), w) == once


def test_a_product_in_a_loop_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match="no known trip count: use `scan`"):
        in_jax.flops(lambda h: jax.lax.while_loop(lambda h: h.sum() < 9, lambda h: h @ h, h), jnp.ones((2, 2)))


def test_ready_gives_its_argument_back():
    assert in_torch.ready({"a": torch.ones(2)})["a"].sum() == 2
    assert in_jax.ready({"a": jnp.ones(2)})["a"].sum() == 2
