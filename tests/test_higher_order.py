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


SILENTLY_WRONG = {
    "layer_norm": {"reverse_over_forward", "hessian", "third"},
    "batch_norm": {"reverse_over_forward", "hessian", "third"},
    "weight_norm": {"reverse_over_reverse", "third"},
    "linalg.solve": {"reverse_over_forward"},
    "logdet": {"reverse_over_forward"},
    "scatter prod": {"forward_over_reverse", "reverse_over_forward", "hessian"},
}


@pytest.mark.parametrize("name", limits.SIDES["torch"].LIMITS)
def test_what_pytorch_gets_silently_wrong_is_known(name):
    """Where this fails because PyTorch is mended, `composed` may lose a rule."""
    rows = {row["mode"]: row for row in limits.rows("torch", name)}
    assert {mode for mode, row in rows.items() if row.get("error", 0) > 1e-2} == SILENTLY_WRONG.get(name, set())


def test_what_is_wrong_in_the_first_derivative_already():
    """A product's tangent is 0, and a float64 gradient has a float32's sixth in it."""
    x = torch.linspace(0.1, 2, 24, dtype=torch.float64).view(4, 6).requires_grad_()
    loss = limits.SIDES["torch"].LIMITS["scatter prod"].loss
    (gradient,) = torch.autograd.grad(loss(x), x)
    assert gradient.sum() != 0
    assert torch.func.jvp(loss, (x.detach(),), (torch.ones_like(x),))[1] == 0
    (sixth,) = torch.autograd.grad(torch.nn.functional.hardsigmoid(x).sum(), x)
    assert 1e-9 < abs(6 * sixth - 1).max() < 1e-7
    with in_torch.composed():
        (sixth,) = torch.autograd.grad(torch.nn.functional.hardsigmoid(x).sum(), x)
    assert abs(6 * sixth - 1).max() < 1e-15


@pytest.mark.parametrize("weight_norm", [torch.nn.utils.parametrizations.weight_norm, torch.nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_a_modules_weight_norm_is_wrong_twice_backwards_and_right_inside_composed(weight_norm):
    layer = weight_norm(torch.nn.Linear(6, 4, bias=False).double())
    g, v = (p.detach() for p in layer.parameters())
    names, x = [name for name, _ in layer.named_parameters()], torch.linspace(-1, 1, 18).double().view(3, 6)

    def by_module(p):
        return torch.func.functional_call(layer, dict(zip(names, (g, p), strict=True)), (x,)).sin().sum()

    def by_hand(p):
        return (x @ (p * (g / p.norm(dim=1, keepdim=True))).T).sin().sum()

    twice = limits.SIDES["torch"].reverse_over_reverse
    expected = twice(by_hand, v, torch.ones_like(v))
    assert abs(twice(by_module, v, torch.ones_like(v)) - expected).max() > 1e-2 * abs(expected).max()
    with in_torch.composed():
        torch.testing.assert_close(twice(by_module, v, torch.ones_like(v)), expected, rtol=0, atol=1e-12)


IN_JAX = {
    "layer_norm": lambda x: jax.nn.standardize(x, axis=1, epsilon=1e-5) * x[0],
    "batch_norm": lambda x: jax.nn.standardize(x, axis=0, epsilon=1e-5) * x[0],
    "weight_norm": lambda x: x * (x[:, :1] / jnp.linalg.norm(x, axis=1, keepdims=True)),
    "glu": jax.nn.glu,
    "hardsigmoid": jax.nn.hard_sigmoid,
    "linalg.solve": lambda x: jnp.linalg.solve(x @ x.T + jnp.eye(4), x),
    "logdet": lambda x: jnp.linalg.slogdet(x @ x.T)[1],
}


@pytest.mark.parametrize("name", IN_JAX)
@pytest.mark.parametrize("mode", limits.MODES)
def test_jax_has_in_every_mode_what_pytorch_has_inside_composed(name, mode):
    remedy = limits.SIDES["torch"].LIMITS[name].remedy
    expected = limits.product("torch", limits.AGAINST.get(mode, "reverse_over_reverse"), remedy)
    actual = limits.product("jax", mode, lambda x: jnp.sin(IN_JAX[name](x)).sum())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12 * abs(expected).max())


def test_jax_refuses_a_scattered_product():
    rows, places = np.arange(4)[:, None], np.arange(24).reshape(4, 6) % 3
    with pytest.raises(NotImplementedError, match="scatter_mul gradients"):
        jax.jvp(lambda x: jnp.ones((4, 6)).at[rows, places].multiply(x).sum(), [jnp.ones((4, 6))], [jnp.ones((4, 6))])


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
