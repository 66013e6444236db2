"""Losses as readers have them: a frozen trunk, a loss switched off, derived parameters, half precision, odd batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

import jax_impl.aggregation
import jax_impl.first_order
import jax_impl.gram
import jax_impl.higher_order
import jax_impl.memory
import jax_impl.models.losses
import jax_impl.training.total
import torch_impl.aggregation
import torch_impl.cost
import torch_impl.first_order
import torch_impl.gram
import torch_impl.higher_order
import torch_impl.models.losses
import torch_impl.training.total
from comparisons.frameworks import jax_scope

torch_losses, jax_losses = torch_impl.models.losses.Losses, jax_impl.models.losses.Losses
PER_LOSS = [name for name in torch_impl.first_order.__all__ if name.startswith("per_loss")]
PRODUCTS = ["hvp_forward_over_reverse", "hvp_reverse_over_forward", "hvp_reverse_over_reverse"]


def leaves(**shapes) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(shape, dtype=torch.float64).requires_grad_() for name, shape in shapes.items()}


def tanh_losses(x: torch.Tensor) -> torch_impl.models.losses.Losses:
    heads = {"a": lambda p, z: (z @ p["u"]).square().sum(), "b": lambda p, z: (z**3).sum() + p["u"].sum()}
    return torch_losses(lambda p: torch.tanh(x @ p["w"]), heads)


def zeros(gradient, params):
    return {name: torch.zeros_like(params[name]) if g is None else g for name, g in gradient.items()}


def test_a_direction_that_depends_on_the_parameters_is_a_constant():
    params, x = leaves(w=(3, 4), u=4), torch.ones(2, 3, dtype=torch.float64)
    losses, direction = tanh_losses(x), {name: p**2 for name, p in params.items()}
    given = {name: v.detach() for name, v in direction.items()}
    for mode in (*PRODUCTS, "gauss_newton_vp"):
        take = getattr(torch_impl.higher_order, mode)
        assert_same(take(losses, params, direction), take(losses, params, given), params)


def assert_same(found, expected, params):
    for name in expected:
        own, truth = zeros(found[name], params), zeros(expected[name], params)
        for parameter in params:
            torch.testing.assert_close(own[parameter], truth[parameter], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["per_loss_functional", "directional", *PRODUCTS[:2], "gauss_newton_vp", "hessian"])
def test_what_torch_func_gives_holds_no_graph(name):
    params, x = leaves(w=(3, 4), u=4), torch.ones(2, 3, dtype=torch.float64)
    rest = () if name in ("per_loss_functional", "hessian") else ({n: torch.ones_like(p) for n, p in params.items()},)
    module = torch_impl.first_order if hasattr(torch_impl.first_order, name) else torch_impl.higher_order
    found = getattr(module, name)(tanh_losses(x), params, *rest)
    assert not any(leaf.requires_grad for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("name", PER_LOSS)
def test_a_parameter_made_of_another_has_its_gradient(name):
    base = leaves(w=(3, 4), u=4)
    params = {"w": base["w"] * 2, "u": base["u"] * 1.0}
    losses = tanh_losses(torch.ones(2, 3, dtype=torch.float64))
    expected = {n: torch.autograd.grad(v, list(params.values()), retain_graph=True, allow_unused=True)
                for n, v in losses(params).items()}  # fmt: skip
    expected = {n: dict(zip(params, g, strict=True)) for n, g in expected.items()}
    assert_same(getattr(torch_impl.first_order, name)(losses, params), expected, params)
    products = torch_impl.aggregation.gramian(expected)
    torch.testing.assert_close(torch_impl.gram.gram(losses, params), products, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PER_LOSS)
def test_a_frozen_trunk_and_a_loss_switched_off(name):
    params, x = leaves(u=3), torch.arange(6.0, dtype=torch.float64).reshape(2, 3)
    heads = {"off": lambda p, z: torch.zeros((), dtype=z.dtype), "on": lambda p, z: (z @ p["u"]).square().sum()}
    losses = torch_losses(lambda p: x, heads)
    truth = {"off": {"u": torch.zeros(3, dtype=torch.float64)}, "on": {"u": 2 * x.T @ x @ params["u"].detach()}}
    assert_same(getattr(torch_impl.first_order, name)(losses, params), truth, params)
    torch.testing.assert_close(torch_impl.gram.gram(losses, params), torch_impl.aggregation.gramian(truth))
    for total in ("summed", "summed_split"):
        assert_same(getattr(torch_impl.first_order, total)(losses, params), {"total": truth["on"]}, params)
    found = torch_impl.first_order.feature_gradients(losses, params)
    assert found["off"].abs().max() == 0 < found["on"].abs().max()
    assert not x.requires_grad


@pytest.mark.parametrize("losses", [torch_losses, jax_losses])
def test_no_losses_are_refused_in_one_sentence(losses):
    with pytest.raises(ValueError, match="`heads` must name at least one loss"):
        losses(lambda p: p["w"], {})


@pytest.mark.parametrize("side", [torch_impl.higher_order, jax_impl.higher_order])
def test_no_losses_have_no_second_order(side):
    one = {"w": torch.ones(2, requires_grad=True)} if side is torch_impl.higher_order else {"w": jnp.ones(2)}
    for mode in PRODUCTS:
        with pytest.raises(ValueError, match="`losses` must give at least one loss"):
            getattr(side, mode)(lambda p: {}, one, one)


def test_jax_accumulates_scalars_alone():
    losses = jax_losses(lambda p: p["w"] * 2, {"each": lambda p, z: z**2})
    with pytest.raises(ValueError, match="shape"):
        jax_impl.first_order.accumulated(losses, {"w": jnp.ones(3)})


@pytest.mark.parametrize("name", PER_LOSS)
def test_one_loss_in_bfloat16_beside_one_in_float32(name):
    heads = {"half": lambda p, z: z.sum().astype(jnp.bfloat16), "full": lambda p, z: (z**2).sum()}
    found = getattr(jax_impl.first_order, name)(jax_losses(lambda p: p["w"] * 2, heads), {"w": jnp.ones(3)})
    assert found["half"]["w"].tolist() == [2, 2, 2]
    assert found["full"]["w"].tolist() == [8, 8, 8]


def test_jax_gram_of_a_parameter_that_no_loss_touches():
    with jax_scope("float64", "cpu"):
        params = {"w": jnp.arange(3.0), "spare": jnp.ones(2)}
        losses = jax_losses(lambda p: jnp.sin(p["w"]), {"a": lambda p, z: z.sum(), "b": lambda p, z: (z**2).sum()})
        grads = jax_impl.first_order.per_loss_retained(losses, params)
        np.testing.assert_allclose(jax_impl.gram.gram(losses, params), jax_impl.aggregation.gramian(grads), rtol=1e-13)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(5, track_running_stats=False), nn.BatchNorm1d(5).eval()])
@pytest.mark.parametrize("channels", [False, True])
def test_products_through_a_norm_over_the_batch_are_one_in_all_modes(norm, channels):
    """Against central differences of the gradient; PyTorch's own rules are wrong by a fifth of it."""
    torch.manual_seed(1)
    norm = nn.InstanceNorm1d(5, affine=True) if channels and norm.training else norm
    net = nn.Sequential(nn.Linear(4, 5), norm).double()
    params = {n: (1 + torch.rand_like(p)).requires_grad_() for n, p in net.named_parameters()}
    x = torch.randn(6, 4).double()

    def losses(p):
        own = {name.removeprefix("1."): value for name, value in p.items() if name.startswith("1.")}
        y = (x @ p["0.weight"].T + p["0.bias"]).T[None] if channels else x @ p["0.weight"].T + p["0.bias"]
        return {"a": functional_call(norm, own, (y,)).sin().sum()}

    direction = {n: torch.randn_like(p) for n, p in params.items()}

    def nudged(by):
        return torch.func.grad(lambda p: losses(p)["a"])({n: p.detach() + by * direction[n] for n, p in params.items()})

    ahead, behind = nudged(1e-5), nudged(-1e-5)
    truth = torch.cat([((ahead[n] - behind[n]) / 2e-5).flatten() for n in params])
    dense = torch_impl.higher_order.hessian(losses, params)["a"]
    rows = {n: sum((dense[n][q] * direction[q]).flatten(params[n].ndim).sum(-1) for q in params) for n in params}
    found = [getattr(torch_impl.higher_order, mode)(losses, params, direction)["a"] for mode in PRODUCTS]
    assert not any(leaf.requires_grad for product in found for leaf in product.values())
    for product in (*found, rows):
        vector = torch.cat([g.flatten() for g in product.values()])
        assert (vector - truth).abs().max() < 1e-7 * truth.abs().max()


@pytest.mark.parametrize("norm", [F.batch_norm, F.instance_norm])
def test_statistics_that_would_be_updated_are_refused(norm):
    params, x, on = leaves(w=(3, 4)), torch.ones(2, 3, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    tracked = {"training": True} if norm is F.batch_norm else {}
    losses = lambda p: {"a": norm((x @ p["w"])[..., None].expand(2, 4, 5), on * 0, on, **tracked).sum()}  # noqa: E731
    with pytest.raises(ValueError, match="set `track_running_stats=False`"):
        torch_impl.higher_order.hvp_forward_over_reverse(losses, params, params)


def test_products_with_a_vector_are_counted():
    a, v = torch.ones(3, 4), torch.ones(4)
    assert torch_impl.cost.flops(lambda: a @ v) == 2 * 3 * 4
    assert torch_impl.cost.flops(lambda: v @ v) == 2 * 4
    assert torch_impl.cost.flops(lambda: torch.addmv(torch.ones(3), a, v, alpha=2.0)) == 2 * 3 * 4


def on_both(rows, dtype):
    yield torch_impl.aggregation, {k: {"w": torch.tensor(row, dtype=getattr(torch, dtype))} for k, row in rows.items()}
    yield jax_impl.aggregation, {k: {"w": jnp.asarray(row, dtype)} for k, row in rows.items()}


@pytest.mark.parametrize("scale", [1e-4, 10.0])
def test_half_precision_gradients_have_float32_products(scale):
    rows = {"a": [scale] * 2000, "b": [-scale] * 1000 + [scale * 0.5] * 1000}
    for side, grads in on_both(rows, "float16"):
        full = np.array([rows["a"], rows["b"]])
        np.testing.assert_allclose(np.asarray(side.gramian(grads)), full @ full.T, rtol=2e-3)
        assert side.combine(grads, side.pcgrad(side.gramian(grads)))["w"].dtype == grads["a"]["w"].dtype


def test_none_adds_nothing_to_the_products():
    grads = {"a": {"w": torch.ones(2), "v": None}, "b": {"w": None, "v": None}}
    assert torch_impl.aggregation.gramian(grads).tolist() == [[2, 0], [0, 0]]
    combined = torch_impl.aggregation.combine(grads, torch.tensor([3.0, 5.0]))
    assert combined["w"].tolist() == [3, 3]
    assert combined["v"] is None


OPPOSED = [[1.0, 0, 0], [-1, 0.01, 0], [0, -1, 0.01]]


def test_weights_that_still_move_are_not_given_out():
    rows = torch.tensor(OPPOSED, dtype=torch.float64)
    with pytest.raises(ValueError, match="`sweeps` = 1000 leave the weights moving"):
        torch_impl.aggregation.upgrad(rows @ rows.T)
    with jax_scope("float64", "cpu"):
        rows = jnp.asarray(OPPOSED)
        assert np.isnan(jax_impl.aggregation.upgrad(rows @ rows.T)).all()
        assert np.isnan(jax_impl.aggregation.mgda(jnp.full((2, 2), jnp.nan))).all()


def test_an_order_that_was_drawn_as_an_array():
    order = np.array([[2, 1, 0], [0, 2, 1], [1, 0, 2]])
    gram = np.array([[1.0, -0.5, 0.2], [-0.5, 2, -0.3], [0.2, -0.3, 1]])
    listed = [torch_impl.aggregation.pcgrad(torch.tensor(gram), o).tolist() for o in (order, order.tolist())]
    assert listed[0] == listed[1]
    np.testing.assert_allclose(jax_impl.aggregation.pcgrad(jnp.asarray(gram), order), listed[0], rtol=1e-6)


def test_a_pullback_that_keeps_an_array_of_numpy():
    _, pullback = jax.vjp(lambda w: w * np.ones(3, np.float32), jnp.ones(3))
    assert jax_impl.memory.held(pullback).bytes == 12
    assert "12 B" in str(jax_impl.memory.residuals(lambda w: w * np.ones(3, np.float32), jnp.ones(3)))


@pytest.mark.parametrize("side", [torch_impl.training.total, jax_impl.training.total])
def test_a_batch_with_losses_in_front_is_not_cut_along_them(side):
    rows = torch.ones if side is torch_impl.training.total else jnp.ones
    with pytest.raises(ValueError, match="`batch` must have a row a sample in every entry"):
        side.split({"x": rows((8, 2)), "targets": rows((4, 8))}, 4)


def test_what_a_loss_does_not_touch_is_no_obstacle():
    params = leaves(w=2, spare=2)
    losses = lambda batch: lambda p: {"a": (p["w"] ** 2).sum()}  # noqa: E731
    _, log = torch_impl.training.total.inspected(losses, params, [{}])
    assert log[0]["norm"] > 0
    params = leaves(w=2, spare=2)
    value = torch_impl.higher_order.maml(lambda p, batch: (p["w"] ** 2).sum(), params, {}, {}, 1, 0.1)
    torch.testing.assert_close(value, (params["w"] * 0.8).square().sum())


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_linear_loss_has_damping_for_its_curvature(side):
    module, one = (
        (torch_impl.higher_order, {"w": torch.ones(3, requires_grad=True)})
        if side == "torch"
        else (jax_impl.higher_order, {"w": jnp.ones(3)})
    )
    solved = module.inverse_hvp(lambda p: p["w"].sum(), one, {"w": one["w"] * 4}, damping=2.0)
    assert [*solved["w"]] == [2, 2, 2]
    with pytest.raises(ValueError, match="raise `damping`"):
        module.inverse_hvp(lambda p: p["w"].sum(), one, one)


def test_the_penalty_takes_its_points_as_constants():
    points = torch.ones(2, 2, requires_grad=True)
    penalty = torch_impl.higher_order.gradient_penalty(lambda x: x.square().sum(-1), points)
    assert torch.autograd.grad(penalty, points, allow_unused=True) == (None,)
    found = jax.grad(lambda p: jax_impl.higher_order.gradient_penalty(lambda x: (x**2).sum(-1), p))(jnp.ones((2, 2)))
    assert found.tolist() == [[0, 0], [0, 0]]
