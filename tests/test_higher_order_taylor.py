"""The Taylor judge: right products pass, and planted bugs do not."""

import numpy as np
import pytest
import torch

import torch_impl.higher_order
from comparisons.higher_order import cost_tables, taylor
from comparisons.higher_order.counts import MODES
from comparisons.problems import SIZES

RR = "hvp_reverse_over_reverse"
SIDES = [
    pytest.param(side, name, modes, marks=pytest.mark.xdist_group(f"taylor {name}"))
    for side, modes, names in (("torch", MODES, SIZES), ("jax", (RR,), ("lesson", "many_heads")))
    for name in names
]


@pytest.mark.parametrize(("side", "name", "modes"), SIDES)
def test_products_are_the_second_derivatives_of_their_own_losses(side, name, modes):
    rows = taylor.rows(side, name, modes, "tiny")
    assert {row["strategy"] for row in rows} == set(modes)
    for row in rows:
        assert row["status"] == "ok", row
        for found in (row["along"], row["across"]):
            assert found is None or found == pytest.approx(3, abs=0.5)
    if name != "lesson":
        assert any(row["along"] is not None for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_jax_products_are_too_in_every_mode(name):
    rows = taylor.rows("jax", name, MODES, "tiny")
    assert [row.get("reason") for row in rows if row["status"] != "ok"] == []


def turned(gradient):
    """As orthogonal to `direction` as a swap of two entries makes it."""
    w = gradient["trunk.layers.0.weight"].clone()
    w[0, 0], w[0, 1] = gradient["trunk.layers.0.weight"][0, 1], gradient["trunk.layers.0.weight"][0, 0]
    return gradient | {"trunk.layers.0.weight": w}


def missing(gradient):
    return gradient | {"trunk.layers.1.bias": 0 * gradient["trunk.layers.1.bias"]}


def halved(gradient):
    return {name: 0.5 * g for name, g in gradient.items()}


@pytest.mark.parametrize("bug", [turned, missing, halved])
def test_a_planted_bug_is_caught(monkeypatch, bug):
    right = getattr(torch_impl.higher_order, RR)

    def wrong(losses, params, direction):
        found = right(losses, params, direction)
        return {loss: bug(product) if loss == "total" else product for loss, product in found.items()}

    monkeypatch.setattr(torch_impl.higher_order, RR, wrong)
    rows = taylor.rows("torch", "many_heads", (RR,), "tiny")
    judged = [row for row in rows if row["loss"] == "total"]
    assert [row["status"] for row in judged] == ["differs"]
    assert judged[0]["across"] == pytest.approx(2, abs=0.2)
    assert "not h^3" in judged[0]["reason"]
    assert "DIFFERS" in str(cost_tables.taylor(rows).lines)


def test_a_product_that_v_cannot_tell_is_told_by_u(monkeypatch):
    """What is added is orthogonal to the direction: v.Hv is as it was."""
    right = getattr(torch_impl.higher_order, RR)

    def wrong(losses, params, direction):
        found = right(losses, params, direction)
        along = direction["trunk.layers.0.bias"]
        for product in found.values():
            product["trunk.layers.0.bias"][:2] += 10 * torch.stack([along[1], -along[0]])
        return found

    monkeypatch.setattr(torch_impl.higher_order, RR, wrong)
    row = next(row for row in taylor.rows("torch", "many_heads", (RR,), "tiny") if row["loss"] == "total")
    assert row["along"] == pytest.approx(3, abs=0.5)
    assert row["across"] == pytest.approx(2, abs=0.2)
    assert row["status"] == "differs"


def test_a_wrong_gradient_leaves_h(monkeypatch):
    right = taylor.in_torch

    def wrong(name, problem, strategy, **options):
        found = right(name, problem, strategy=strategy, **options)
        if strategy == "directional":
            return {loss: {"along": 1.5 * np.asarray(slope["along"])} for loss, slope in found.items()}
        return found

    monkeypatch.setattr(taylor, "in_torch", wrong)
    row = taylor.rows("torch", "many_heads", (RR,), "tiny")[-1]
    assert row["along"] == pytest.approx(1, abs=0.2)
    assert row["status"] == "differs"


def test_a_product_that_is_not_finite_differs(monkeypatch):
    right = getattr(torch_impl.higher_order, RR)

    def wrong(losses, params, direction):
        found = right(losses, params, direction)
        for product in found.values():
            product["trunk.layers.0.bias"] *= float("nan")
        return found

    monkeypatch.setattr(torch_impl.higher_order, RR, wrong)
    assert {row["status"] for row in taylor.rows("torch", "many_heads", (RR,), "tiny")} == {"differs"}


def test_the_default_judges_the_main_mode_and_the_full_run_all():
    assert [set(unit.rows.args[2]) for unit in taylor.units()[:1] + taylor.units(True)[:1]] == [{RR}, set(MODES)]
