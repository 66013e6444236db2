"""What each strategy promises beyond the numbers, and linearity in the losses."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jax_impl.first_order as in_jax
import torch_impl.first_order as in_torch
from comparisons.difference import difference
from comparisons.gradients import implied
from comparisons.layout import from_flax, to_flax
from comparisons.problems import direction, many_heads, problem
from comparisons.testing import as_numpy, assert_gradients_match
from jax_impl.models import digits as jax_digits
from jax_impl.models import many_heads as jax_many_heads
from jax_impl.models.losses import Losses as JaxLosses
from torch_impl.models import digits as torch_digits
from torch_impl.models import many_heads as torch_many_heads
from torch_impl.models.losses import Losses as TorchLosses

PER_LOSS = [name for name in in_torch.__all__ if name.startswith("per_loss")]
NO_CUT = ["summed", "accumulated", "per_loss_retained", "per_loss_one_hot", "per_loss_batched", "per_loss_chunked"]


def leaves(arrays):
    return {name: torch.tensor(array, requires_grad=array.dtype == np.float64) for name, array in arrays.items()}


def tensors(arrays):
    return {name: torch.tensor(array) for name, array in arrays.items()}


def numpy(grads):
    return {loss: {name: as_numpy(g) for name, g in grad.items()} for loss, grad in grads.items()}


@pytest.fixture
def digits():
    stated = problem("digits", "tiny")
    return torch_digits.losses(tensors(stated.batch)), leaves(stated.params)


@pytest.mark.parametrize("strategy", NO_CUT)
def test_a_plain_callable_works_in_torch_where_no_cut_is_needed(strategy, digits):
    losses, params = digits
    run = getattr(in_torch, strategy)
    assert_gradients_match(run(lambda p: losses(p), params), run(losses, params), tolerance=0)


@pytest.mark.parametrize("strategy", [n for n in NO_CUT if n not in ("accumulated", "per_loss_retained")])
def test_a_plain_callable_works_in_jax_where_no_cut_is_needed(strategy):
    run = getattr(in_jax, strategy)
    w = {"w": jnp.arange(3.0)}
    found = run(lambda p: {"a": (p["w"] ** 2).sum(), "b": (3 * p["w"]).sum()}, w)
    grads = {"a": np.float32([0, 2, 4]), "b": np.full(3, 3, np.float32)}
    expected = {"total": sum(grads.values())} if "total" in found else grads
    assert_gradients_match(found, {name: {"w": g} for name, g in expected.items()})


@pytest.mark.parametrize("framework", [in_torch, in_jax], ids=["torch", "jax"])
def test_an_empty_chunk_is_refused(framework):
    with pytest.raises(ValueError, match=r"`chunk` must be at least 1 \(got 0\)"):
        framework.per_loss_chunked(lambda p: {}, {}, chunk=0)


@pytest.mark.parametrize("chunk", [1, 3, 4, 9])
def test_every_chunk_gives_the_batched_gradients(chunk, digits):
    losses, params = digits
    assert_gradients_match(
        in_torch.per_loss_chunked(losses, params, chunk), in_torch.per_loss_batched(losses, params), tolerance=1e-14
    )
    stated = problem("digits", "tiny")
    with jax.enable_x64(True):
        p = {name: jnp.asarray(a) for name, a in to_flax(stated.params, stated.layout).items()}
        batch = {name: jnp.asarray(a) for name, a in stated.batch.items()}
        found, expected = (
            jax.jit(lambda p, b: strategy(jax_digits.losses(b), p))(p, batch)
            for strategy in (lambda losses, p: in_jax.per_loss_chunked(losses, p, chunk), in_jax.per_loss_batched)
        )
    assert_gradients_match(found, expected, tolerance=1e-14)


def test_accumulated_replaces_grad_and_leaves_the_sum_there(digits):
    losses, params = digits
    for p in params.values():
        p.grad = torch.ones_like(p)
    found = in_torch.accumulated(losses, params)
    assert all(found["total"][name] is p.grad for name, p in params.items())
    assert_gradients_match(found, in_torch.summed(losses, params), tolerance=1e-13)


@pytest.mark.parametrize("strategy", [n for n in in_torch.__all__ if n not in ("accumulated", "directional")])
def test_other_strategies_leave_grad_alone_and_repeat_themselves(strategy, digits):
    losses, params = digits
    run = getattr(in_torch, strategy)
    first, second = run(losses, params), run(losses, params)
    assert all(p.grad is None for p in params.values())
    if strategy == "feature_gradients":
        first, second = ({n: {"z": g} for n, g in found.items()} for found in (first, second))
    assert_gradients_match(first, second, tolerance=0)


def test_feature_gradients_pulled_through_the_trunk_are_the_gradients(digits):
    """The digit loss touches the trunk through the features alone."""
    losses, params = digits
    dz = in_torch.feature_gradients(losses, params)["digit"]
    z = losses.trunk(params)
    assert dz.shape == z.shape
    through = torch.autograd.grad(z, [params["trunk.l1.weight"]], dz)[0]
    expected = in_torch.per_loss_retained(losses, params)["digit"]["trunk.l1.weight"]
    np.testing.assert_allclose(through.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["lesson", "digits", "conv", "attention", "recurrent", "many_heads"])
def test_the_directional_derivative_is_the_slope_that_differences_see(name):
    """An independent judge: central differences of the losses themselves, whose error falls with step^2."""
    from importlib import import_module

    stated = problem(name, "tiny")
    losses = import_module(f"torch_impl.models.{name}").losses(tensors(stated.batch))
    params, along = tensors(stated.params), tensors(direction(stated))
    slope = in_torch.directional(losses, params, along)

    def quotient(step):
        ahead, behind = (losses({n: p + s * along[n] for n, p in params.items()}) for s in (step, -step))
        return {loss: (ahead[loss] - behind[loss]) / (2 * step) for loss in slope}

    for loss, value in quotient(1e-5).items():
        assert value.item() == pytest.approx(slope[loss].item(), rel=1e-6, abs=1e-8)


@cache
def weighted_in_jax(strategy: str):
    """Values, seeds and weights are arguments: one program for each strategy and number of losses."""

    def run(params, batch, weights):
        losses = jax_many_heads.losses(batch)
        heads = {name: lambda p, z, k=k, h=h: weights[k] * h(p, z) for k, (name, h) in enumerate(losses.heads.items())}
        return getattr(in_jax, strategy)(JaxLosses(losses.trunk, heads), params)

    return jax.jit(run)


def weighted_in_torch(strategy: str, params, batch, weights):
    losses = torch_many_heads.losses(batch)
    heads = {name: lambda p, z, k=k, h=h: weights[k] * h(p, z) for k, (name, h) in enumerate(losses.heads.items())}
    return getattr(in_torch, strategy)(TorchLosses(losses.trunk, heads), params)


@pytest.mark.xdist_group("linearity")
@pytest.mark.parametrize("strategy", ["summed", "accumulated", "per_loss_retained", "per_loss_batched"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    weights=st.sampled_from([1, 2, 5]).flatmap(
        lambda k: st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 8), st.floats(-8, -1e-3)), min_size=k, max_size=k)
    ),
)
def test_gradients_are_linear_in_the_loss_weights(strategy, seed, weights):
    """grad(sum w_k L_k) = sum w_k grad(L_k); a loss of weight zero adds nothing; both sides, any seed and K."""
    stated = many_heads(batch=4, width=3, depth=2, losses=len(weights), seed=seed)
    plain = numpy(in_torch.per_loss_retained(torch_many_heads.losses(tensors(stated.batch)), leaves(stated.params)))
    scaled = {
        loss: {name: None if g is None else w * g for name, g in grad.items()}
        for w, (loss, grad) in zip(weights, plain.items(), strict=True)
    }
    gives = "total" if strategy in ("summed", "accumulated") else "per_loss"
    expected = implied(scaled, gives, stated.params)
    found = numpy(weighted_in_torch(strategy, leaves(stated.params), tensors(stated.batch), weights))
    with jax.enable_x64(True):
        params = {name: jnp.asarray(a) for name, a in to_flax(stated.params, stated.layout).items()}
        batch = {name: jnp.asarray(a) for name, a in stated.batch.items()}
        ours = numpy(weighted_in_jax(strategy)(params, batch, jnp.asarray(weights)))
    ours = {loss: from_flax(grad, stated.layout) for loss, grad in ours.items()}
    # The terms of a sum may cancel: the allowance is in units of the largest term, as rounding is.
    terms = max(np.abs(g).max() for grad in scaled.values() for g in grad.values() if g is not None)
    for side in (found, ours):
        assert all(pair.error <= 1e-12 * max(terms, pair.scale) for pair in difference(side, expected).pairs)
