"""FLOPs: the same on both sides, and equal to what theory says of a trunk and K heads."""

import jax
import jax.numpy as jnp
import pytest
import torch

import jax_impl.cost as in_jax
import torch_impl.cost as in_torch
import torch_impl.first_order
from comparisons.cost import counted
from comparisons.problems import SIZES
from comparisons.scenarios import STRATEGIES

# PyTorch's first forward-mode derivative compiles its own rules with the torch.jit that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit")


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", SIZES)
def test_every_strategy_costs_what_theory_says(name, framework):
    rows = counted.rows(framework, name, STRATEGIES, "tiny")
    assert [row["strategy"] for row in rows] == list(STRATEGIES)
    assert [(row["id"], row["reason"]) for row in rows if row["status"] != "ok"] == []
    assert all(row["flops"] == row["predicted"] for row in rows)


def test_a_strategy_that_costs_more_than_theory_says_differs(monkeypatch):
    right = torch_impl.first_order.per_loss_recomputed
    monkeypatch.setattr(torch_impl.first_order, "per_loss_retained", right)
    _, row = counted.rows("torch", "digits", ("summed", "per_loss_retained"), "tiny")
    assert (row["status"], row["reason"]) == ("differs", "426,496 FLOPs, but theory says 303,616")


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
