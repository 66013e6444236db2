"""The rows of applications: all hold, and each check catches a planted bug."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jax_impl.higher_order
import torch_impl.higher_order
from comparisons import higher_order
from comparisons.higher_order import applications, judge, meta, penalty, physics, solve, weights
from comparisons.higher_order.judge import SIDES
from comparisons.problems import problem
from torch_impl.higher_order.physics import Field

TORCH = torch_impl.higher_order


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Two threads that wait for each other cost these tiny products tens of times what they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def differing(rows):
    """(check, side) of every row that is neither as stated nor known not to be defined."""
    return {(row.get("check") or row["form"], row["framework"]) for row in rows if row["status"] == "differs"}


# The critic.


@pytest.mark.xdist_group("penalty")
def test_the_critics_rows_hold():
    rows = penalty.rows()
    assert {row["status"] for row in rows} == {"ok"}, rows


@pytest.mark.xdist_group("penalty")
def test_at_a_zero_gradient_only_the_safe_norm_is_finite_on_both_sides():
    rows = penalty.zero_rows()
    assert {row["status"] for row in rows} == {"ok", "unsupported"}, rows
    finite = {(row["check"].split(", ")[1], row["framework"]) for row in rows if row["status"] == "ok"}
    assert finite == {("plain_norm", "torch"), ("safe_norm", "torch"), ("safe_norm", "jax")}
    assert all(row["poisoned"] > 0.99 for row in rows if row["status"] == "unsupported")


@pytest.mark.xdist_group("penalty")
def test_a_missing_factor_two_is_caught(monkeypatch):
    """The square as v * v.detach() has the right value and half the gradient."""

    def halved(critic, points, norm=TORCH.safe_norm):
        points = points.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
        off = norm(slopes) - 1
        return (off * off.detach()).mean()

    monkeypatch.setattr("torch_impl.higher_order.penalty.gradient_penalty", halved)
    assert differing(penalty.rows()) == {
        ("penalty: torch against JAX", "both"),
        ("penalty: finite differences", "both"),
        ("linear critic: exact", "torch"),
    }


@pytest.mark.xdist_group("penalty")
def test_a_penalty_without_create_graph_fails_and_does_not_pass(monkeypatch):
    def cut(critic, points, norm=TORCH.safe_norm):
        points = points.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(critic(points).sum(), points)
        return (norm(slopes) - 1).square().mean() + 0 * critic(points).sum()

    monkeypatch.setattr("torch_impl.higher_order.penalty.gradient_penalty", cut)
    assert ("penalty: torch against JAX", "both") in differing(penalty.rows())


@pytest.mark.xdist_group("penalty")
def test_a_nan_that_was_not_predicted_and_one_that_did_not_come_are_caught(monkeypatch):
    monkeypatch.setattr(penalty, "NANS", {("torch", "plain_norm")})
    assert {check.split(", ")[1] for check, _ in differing(penalty.zero_rows())} == {
        "plain_norm",
        "sqrt of squares",
    }


# MAML.


@pytest.mark.xdist_group("maml")
def test_mamls_rows_hold():
    rows = meta.rows()
    assert len(rows) == 10
    assert {row["status"] for row in rows} == {"ok"}, rows
    assert all(row["error"] > 0.1 for row in rows if "from second order" in row["check"])


@pytest.mark.xdist_group("maml")
@pytest.mark.parametrize("claimed", [True, False])
def test_an_order_that_is_not_the_one_claimed_is_caught(monkeypatch, claimed):
    """First order where second is claimed, and the other way round."""
    right = TORCH.maml
    monkeypatch.setattr(TORCH, "maml", lambda *given, second_order=True: right(*given, second_order=not claimed))
    name = "second order" if claimed else "first order"
    found = differing(meta.rows())
    assert found == {(f"{name}: torch against JAX", "both"), (f"{name}: finite differences", "both")}


@pytest.mark.xdist_group("maml")
def test_first_order_where_second_is_claimed_is_caught_in_jax_too(monkeypatch):
    right = jax_impl.higher_order.maml
    monkeypatch.setattr(jax_impl.higher_order, "maml", lambda *given, second_order=True: right(*given, False))
    monkeypatch.setattr(meta, "STEPS", (1,))
    judge.compiled.cache_clear()
    found = differing(meta.rows())
    judge.compiled.cache_clear()
    assert found == {("second order: torch against JAX", "both")}


@pytest.mark.xdist_group("maml")
def test_a_step_too_few_is_caught(monkeypatch):
    right = TORCH.maml

    def short(loss, params, support, query, steps, *rest, **options):
        return right(loss, params, support, query, steps - 1, *rest, **options)

    monkeypatch.setattr(TORCH, "maml", short)
    assert ("second order: torch against JAX", "both") in differing(meta.rows())


@pytest.mark.xdist_group("maml")
@pytest.mark.parametrize("steps", [0, 3])
def test_any_number_of_steps(steps):
    taken = [meta._taken(side, True, steps) for side in SIDES]
    assert meta._worst(*taken) <= 1e-12
    assert meta._differences(taken[0]["query"], steps, True) <= meta.FINITE_DIFFERENCES


# Physics.


@pytest.mark.xdist_group("physics")
@pytest.mark.parametrize("equation", physics.SOLUTIONS)
def test_trained_to_the_stated_error_step_by_step(equation):
    rows = physics.rows(equation)
    assert {row["status"] for row in rows} == {"ok"}, rows
    assert all(1 < row["amplification"] < 1e5 for row in rows if "amplification" in row), "no basis for an allowance"


@pytest.mark.parametrize("equation", physics.SOLUTIONS)
def test_the_solution_solves_the_equation(equation):
    """Its residual by central differences: a wrong solution would be a wrong judge."""
    x, t = np.random.default_rng(0).random((2, 50))
    u, h = physics.SOLUTIONS[equation], 1e-4
    u_x, u_t = (u(x + h, t) - u(x - h, t)) / (2 * h), (u(x, t + h) - u(x, t - h)) / (2 * h)
    u_xx = (u(x + h, t) - 2 * u(x, t) + u(x - h, t)) / h**2
    residual = getattr(TORCH, equation)(Field(u(x, t), u_x, u_t, u_xx))
    assert abs(residual).max() < 1e-6


@pytest.mark.xdist_group("physics")
def test_a_wrong_sign_in_the_residual_is_caught(monkeypatch):
    monkeypatch.setattr(TORCH, "heat", lambda f: f.u_t + 0.1 * f.u_xx)
    found = differing(physics.rows("heat"))
    assert found >= {("error against the solution", "torch"), ("each step: of the allowance", "both")}
    assert ("error against the solution", "jax") not in found


@pytest.mark.xdist_group("physics")
def test_a_rate_wrong_by_a_hundred_millionth_is_caught(monkeypatch):
    """It does not show in the error against the solution: the trajectories tell."""
    right = TORCH.train
    monkeypatch.setattr(TORCH, "train", lambda losses, p, b, steps, rate: right(losses, p, b, steps, rate * (1 + 1e-8)))
    assert differing(physics.rows("burgers")) == {
        ("each step: of the allowance", "both"),
        ("end parameters: of the allowance", "both"),
    }


# Solves.


@pytest.mark.xdist_group("solve")
def test_the_solves_are_those_of_dense_matrices():
    rows = solve.rows()
    assert len(rows) == 9
    assert {row["status"] for row in rows} == {"ok"}, rows
    (left_out,) = [row["error"] for row in rows if "left out" in row["check"]]
    assert 0 < left_out < 0.5


@pytest.mark.xdist_group("solve")
def test_planted_bugs_in_the_solves_are_caught(monkeypatch):
    found = solve.fit()
    right = solve.answers("torch", found)
    monkeypatch.setattr(solve, "fit", lambda **given: found)
    module = "torch_impl.higher_order.solve.inverse_hvp"
    damped = partial(TORCH.inverse_hvp, damping=1e-9)
    for name, plant in (
        ("inverse_hvp", {"inverse_hvp": right["inverse_hvp"] * (1 + 1e-9)}),
        ("influence", {"influence": -right["influence"]}),
        ("implicit_gradient", {"implicit_gradient": right["implicit_gradient"] / 2}),
    ):
        monkeypatch.setattr(solve, "answers", lambda side, found, plant=plant: right | plant)
        assert {check for check, side in differing(solve.rows()) if side == "torch"} == {f"{name}: a dense solve"}
    monkeypatch.undo()
    monkeypatch.setattr(module, damped)
    assert judge.relative(solve.answers("torch", found)["influence"], solve.expected(found)["influence"]) > 4e-11


@pytest.mark.xdist_group("solve")
def test_a_wrong_judge_is_caught(monkeypatch):
    """Influence of the wrong sign, and a regulariser of the wrong factor, in the dense answers."""
    right = solve.expected
    monkeypatch.setattr(solve, "expected", lambda found: {k: -v for k, v in right(found).items()})
    monkeypatch.setattr(solve, "answers", lambda side, found: {k: -v for k, v in right(found).items()})
    assert differing(solve.rows()) == {
        ("influence: refitted", "numpy"),
        ("implicit_gradient: refitted", "numpy"),
    }


def test_newton_finds_the_minimum():
    """Of sum w^4 / 4 - w: one at 1."""
    for module, w in ((TORCH, torch.full((3,), 2.0)), (jax_impl.higher_order, jnp.full(3, 2.0))):
        start = {"w": w.requires_grad_() if module is TORCH else w}
        found = module.newton(lambda p: (p["w"] ** 4 / 4 - p["w"]).sum(), start, 5)["w"]
        np.testing.assert_allclose(np.asarray(found.detach() if module is TORCH else found), 1, rtol=1e-5)


# GradNorm.


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(weights.PROBLEMS, "digits", partial(problem, "digits", "tiny"))


@pytest.mark.usefixtures("small")
def test_both_forms_give_one_gradient_and_the_detached_one_costs_less():
    rows = weights.rows("digits")
    assert {row["status"] for row in rows} == {"ok"}, rows
    share = {row["framework"]: row for row in rows if row["form"] == "share"}
    assert all(0.4 < row["flops"] < 0.7 for row in share.values())
    assert all(row["peak"] < 0.6 for row in share.values())


@pytest.mark.usefixtures("small")
def test_planted_bugs_in_grad_norm_are_caught(monkeypatch):
    right = TORCH.grad_norm_detached

    def without_rates(losses, params, given, initial, shared):
        return right(losses, params, given, {n: v.detach() for n, v in losses(params).items()}, shared)

    monkeypatch.setattr(weights, "in_jax", weights.in_torch)
    monkeypatch.setattr(TORCH, "grad_norm_detached", without_rates)
    assert ("grad_norm_detached", "torch") in differing(weights.rows("digits"))
    monkeypatch.setattr(TORCH, "grad_norm_detached", TORCH.grad_norm)
    assert ("share", "torch") in differing(weights.rows("digits"))


# Rows and tables.


def test_a_crash_is_its_own_row_and_the_table_says_so(monkeypatch):
    def broken(*given, **options):
        raise RuntimeError("broken")

    monkeypatch.setattr(TORCH, "maml", broken)
    rows = meta.rows()
    assert {row["status"] for row in rows} == {"failed"}
    assert {row["reason"] for row in rows} == {"RuntimeError: broken"}
    (table,) = higher_order.tables(rows)
    assert all("FAILED" in line for line in table.lines)


def test_every_section_has_a_table_of_its_own_rows():
    row = {"kind": "penalty", "case": "a", "check": "b", "framework": "both", "status": "ok"}
    rows = [row | {"error": 0, "allowed": 1}]
    assert [table.title for table in higher_order.tables(rows)] == ["gradients inside losses, and solves"]
    assert higher_order.tables([]) == []
    labels = [unit.label for unit in higher_order.units()]
    assert len(labels) == len(set(labels))
    assert {unit.label for unit in applications.units()} <= set(labels)
