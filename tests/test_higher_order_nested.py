"""Nested derivatives and the flags: exact everywhere, and every check catches a planted bug."""

import jax
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import torch_impl.higher_order
from comparisons.higher_order import confusion, derivatives, escapes, flags
from comparisons.higher_order.derivatives import FUNCTIONS, ORDERS, RUNS

NAMES = list(FUNCTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_the_stated_derivatives_are_those_of_finite_differences(name):
    """Each is the slope of the one before, so a wrong formula cannot agree with itself."""
    function, h = FUNCTIONS[name], 1e-3
    points = np.linspace(function.low + 2 * h, function.high - 2 * h, 5)
    for order in ORDERS:
        if order == 1:
            below = lambda x: function.f(np, x)  # noqa: E731
        else:
            below = lambda x, n=order - 1: function.derivative(x, n)  # noqa: E731
        slope = (8 * (below(points + h) - below(points - h)) - below(points + 2 * h) + below(points - 2 * h)) / (12 * h)
        np.testing.assert_allclose(function.derivative(points, order), slope, atol=1e-7 * (function.scale(order) or 1))


@pytest.mark.xdist_group("derivatives")
@pytest.mark.parametrize("name", NAMES)
def test_six_orders_are_exact(name):
    rows = derivatives.rows(name)
    assert len(rows) == 12
    assert {row["status"] for row in rows} == {"ok"}, rows


@pytest.mark.xdist_group("derivatives")
@pytest.mark.parametrize("side", RUNS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.sampled_from(NAMES), order=st.sampled_from(list(ORDERS)), where=st.floats(0, 1))
def test_any_function_order_and_point(side, name, order, where):
    function = FUNCTIONS[name]
    points = np.full(5, function.low + where * (function.high - function.low))  # the shape that is compiled already
    error = abs(RUNS[side](name, order, points[: 5 if side == "jax" else 1]) - function.derivative(points[:1], order))
    assert error.max() <= 1e-12 * (function.scale(order) or 1)


def test_an_order_too_few_is_caught(monkeypatch):
    right = torch_impl.higher_order.nth_derivative
    monkeypatch.setattr(torch_impl.higher_order, "nth_derivative", lambda f, x, n: right(f, x, max(n - 1, 1)))
    found = {(row["framework"], row["order"]): row["status"] for row in derivatives.rows("sin x")}
    assert all(found["torch", n] == "differs" for n in range(2, 7))
    assert all(found["jax", n] == "ok" for n in ORDERS)


def test_a_derivative_wrong_by_a_billionth_is_caught(monkeypatch):
    right = torch_impl.higher_order.nth_derivative
    monkeypatch.setattr(torch_impl.higher_order, "nth_derivative", lambda f, x, n: right(f, x, n) * (1 + 1e-9))
    assert {row["status"] for row in derivatives.rows("exp x") if row["framework"] == "torch"} == {"differs"}


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_no_level_takes_anothers_perturbation(side):
    rows = confusion.rows(side)
    assert {row["status"] for row in rows} <= {"ok", "unsupported"}, rows
    wrong = {row["way"] for row in rows if row["kind"] == "confusion" and row["status"] == "unsupported"}
    assert wrong == ({"create_graph, one leaf"} if side == "torch" else set())


def test_a_leaf_shared_by_the_levels_is_caught(monkeypatch):
    monkeypatch.setattr(torch_impl.higher_order, "recorded", confusion.one_leaf)
    bad = [row for row in confusion.rows("torch") if row["status"] == "differs"]
    assert {row["way"] for row in bad} == {"create_graph"}
    assert len(bad) == 5


def test_a_detached_level_is_caught(monkeypatch):
    def cut(function):
        return lambda x: torch.func.grad(function)(x).detach()

    monkeypatch.setattr(torch_impl.higher_order, "reverse", cut)
    bad = {row["way"] for row in confusion.rows("torch") if row["status"] == "differs"}
    assert bad == {"reverse over reverse", "forward over reverse", "reverse over forward"}  # the last: three levels


def test_a_kept_value_that_is_not_what_was_predicted_is_caught(monkeypatch):
    monkeypatch.setitem(escapes.ESCAPES, "a kept 2, times x", {"torch": 3.0, "jax": "nothing"})
    assert [row["status"] for row in escapes.escapes("torch")] == ["unsupported", "differs"]
    assert [row["status"] for row in escapes.escapes("jax")] == ["unsupported", "differs"]


def test_every_pair_of_flags_does_what_the_saved_tensors_predict():
    rows = flags.rows()
    assert {row["status"] for row in rows} <= {"ok", "unsupported"}, rows
    assert all(row["status"] == "ok" for row in rows if row["framework"] == "jax")
    freed = {row["op"] for row in rows if row.get("raises", "").startswith(flags.FREED)}
    assert {"exp x", "tanh x", "sin x**2"} <= freed
    assert not {"x ** 3", "sin x"} & freed


def test_a_wrong_prediction_and_a_wrong_value_are_caught(monkeypatch):
    monkeypatch.setitem(flags.OPS, "sin x", flags.Op(lambda xp, x: xp.sin(x), np.sin))
    monkeypatch.setattr(flags, "predicted", lambda op, pair: "")
    found = {(row["op"], row["flags"]): row["status"] for row in flags.rows()}
    assert found["exp x", "create_graph, retain_graph=False"] == "differs"
    assert found["sin x", "create_graph"] == found["sin x", "nested"] == "differs"


def test_a_constant_inside_is_zero_by_create_graph():
    constant = torch.tensor(5.0)
    assert torch_impl.higher_order.recorded(lambda x: constant)(torch.tensor(1.0)) == 0
    assert jax.grad(lambda x: 5.0)(1.0) == 0
