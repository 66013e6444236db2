"""Where strategies are not equal: each cell is as predicted, and a cell that changes is noticed."""

import numpy as np
import pytest

import torch_impl.first_order
from comparisons.pitfalls import unequal
from comparisons.pitfalls.cases import CASES
from comparisons.scenarios import STRATEGIES

INF, NAN = float("inf"), float("nan")


@pytest.mark.xdist_group("unequal")
@pytest.mark.parametrize("name", CASES)
def test_every_cell_is_as_predicted(name):
    rows = unequal.rows(name)
    assert len(rows) == 2 * len(STRATEGIES) + 1
    assert {row["id"]: row["reason"] for row in rows if row["status"] != "ok"} == {}
    assert all(row["why"] or row["framework"] == "sides" for row in rows)


def test_there_are_enough_cases_of_each_kind():
    assert len(CASES) >= 12
    assert {case.kind for case in CASES.values()} == {"singular", "tie", "stochastic", "stateful", "precision"}


@pytest.mark.parametrize(
    ("actual", "expected", "outcome"),
    [
        ([1.0, 2.0], [1.0, 2.0], "equal"),
        ([1.0, 2.0], [1.0, 2.1], "different"),
        ([NAN, 2.0], [1.0, 2.0], "poisoned"),
        ([NAN, 2.0], [NAN, 2.0], "equal"),
        ([INF, 2.0], [NAN, 2.0], "different"),
        ([INF], [-INF], "different"),
        (None, [0.0], "equal"),
        (None, [1.0], "different"),
        ([NAN], None, "poisoned"),
    ],
)
def test_compare(actual, expected, outcome):
    sides = [{"a": {"w": None if g is None else np.array(g)}} for g in (actual, expected)]
    assert unequal.compare(*sides, 1e-12) == outcome


@pytest.mark.xdist_group("unequal")
def test_a_strategy_that_becomes_poisoned_is_noticed(monkeypatch):
    unequal.evaluate.cache_clear()
    monkeypatch.setattr(torch_impl.first_order, "per_loss_split", torch_impl.first_order.per_loss_batched)
    wrong = [row["id"] for row in unequal.rows("infinite_loss") if row["status"] != "ok"]
    unequal.evaluate.cache_clear()
    assert wrong == ["pitfalls/unequal/infinite_loss/torch/per_loss_split"]
