"""Second order: products, Hessians and diagonals on both sides, nested derivatives, limits, and bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jax_impl.higher_order as in_jax
import torch_impl.higher_order as in_torch
from comparisons import gradients
from comparisons.frameworks import jax_scope
from comparisons.higher_order import limits
from comparisons.scenarios import SECOND_ORDER, Cell
from torch_impl.memory import peak
from torch_impl.models.losses import Losses

CELLS = [*(("lesson", s) for s in SECOND_ORDER), ("digits", "hvp_reverse_over_reverse")]


@pytest.mark.parametrize(("problem", "strategy"), CELLS)
def test_both_sides_and_all_modes_agree(problem, strategy):
    rows = gradients.rows(Cell(problem, strategy), "tiny")
    assert {row["status"] for row in rows} == {"ok"}, [row.get("reason") for row in rows]
    assert {row["order"] for row in rows} == {2}
    assert "total" in {row["loss"] for row in rows}


@pytest.mark.parametrize(
    ("side", "name"), [(side, name) for side, module in limits.SIDES.items() for name in module.LIMITS]
)
def test_what_is_not_defined_has_a_form_that_is(side, name):
    rows = limits.rows(side, name)
    assert {row["status"] for row in rows} <= {"ok", "unsupported"}, rows
    assert all(row["reason"] for row in rows if row["status"] == "unsupported")


@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_a_hessian_through_fused_normalisations_is_silently_wrong_and_composed_is_right(name):
    """Forward over reverse is right without `vmap`: `torch.func.hessian` is that under `vmap`."""
    rows = {row["mode"]: row for row in limits.rows("torch", name)}
    assert rows["forward_over_reverse"]["status"] == "ok"
    assert rows["hessian"]["error"] > 0.1
    assert rows["hessian"]["recipe_error"] <= 1e-12


def test_the_peak_of_a_diagonal_grows_with_n_and_not_with_its_square():
    losses = Losses(lambda p: p["w"].sin(), {"a": lambda p, z: (z**2).sum()})
    small, large = (peak(lambda: in_torch.hessian_diagonal(losses, {"w": torch.ones(n)}, chunk=1)) for n in (500, 1000))
    assert small < large <= 2 * small


@pytest.mark.parametrize("order", range(1, 7))
def test_nth_derivative_of_sine_is_exact(order):
    expected = np.sin(0.7 + order * np.pi / 2)
    found = in_torch.nth_derivative(torch.sin, torch.tensor(0.7, dtype=torch.float64), order)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    with jax_scope("float64", "cpu"):
        np.testing.assert_allclose(
            in_jax.nth_derivative(jnp.sin, jnp.asarray(0.7), order), expected, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("order", [0, -1])
def test_an_order_below_one_is_refused(order):
    with pytest.raises(ValueError, match="`order` must be at least 1"):
        in_torch.nth_derivative(torch.sin, torch.tensor(0.7), order)
    with pytest.raises(ValueError, match="`order` must be at least 1"):
        in_jax.nth_derivative(jnp.sin, jnp.asarray(0.7), order)


def test_solve():
    diagonal = np.array([1.0, 4.0, 9.0])
    for module, array, scope in (
        (in_torch, partial(torch.tensor, dtype=torch.float64), None),
        (in_jax, jnp.asarray, "float64"),
    ):
        with jax.enable_x64(scope is not None):
            params, vector = {"w": array(np.ones(3))}, {"w": array(np.ones(3))}
            if module is in_torch:
                params["w"].requires_grad_()
            scale = array(diagonal)
            found = module.inverse_hvp(lambda p: 0.5 * (scale * p["w"] ** 2).sum(), params, vector)["w"]
            np.testing.assert_allclose(np.asarray(found), 1 / diagonal, rtol=1e-12)
            singular = array(np.array([1.0, 0.0, 1.0]))
            with pytest.raises(ValueError, match="`damping` is singular, indefinite"):
                module.inverse_hvp(lambda p: 0.5 * (singular * p["w"] ** 2).sum(), params, vector)
            with pytest.raises(ValueError, match="`steps` = 1"):
                module.inverse_hvp(lambda p: 0.5 * (scale * p["w"] ** 2).sum(), params, vector, steps=1)
