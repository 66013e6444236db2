"""The inner products of the gradients, without the gradients: the explicit product judges, the allocator counts."""

from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jax_impl.aggregation
import jax_impl.first_order
import jax_impl.gram
import jax_impl.memory
import torch_impl.aggregation
import torch_impl.first_order
import torch_impl.gram
import torch_impl.memory
from comparisons.layout import to_flax
from comparisons.memory import sides
from comparisons.problems import SIZES, many_heads, problem

NAMES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SIZES]


def explicit(side) -> np.ndarray:
    """`gramian` of the gradients taken one by one, with zeros where a loss does not touch a parameter."""
    grads = torch_impl.first_order.per_loss_retained(side.losses, side.params)
    whole = {
        loss: {n: torch.zeros_like(p) if grad[n] is None else grad[n] for n, p in side.params.items()}
        for loss, grad in grads.items()
    }
    return torch_impl.aggregation.gramian(whole).numpy()


def in_torch(side) -> np.ndarray:
    return torch_impl.gram.gram(side.losses, side.params).numpy()


def double(name: str):
    return sides.torch_side(name, problem(name, "tiny"), dtype="float64")


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return abs(a - b).max() / abs(b).max()


@pytest.mark.parametrize("name", NAMES)
def test_gram_is_the_product_of_the_gradients_in_torch(name):
    side = double(name)
    assert apart(in_torch(side), explicit(side)) <= 1e-14


@pytest.mark.parametrize("name", NAMES)
def test_gram_is_the_product_of_the_gradients_in_jax(name):
    """A recurrent problem has one product more in PyTorch: its LSTM has two biases, whose gradients are the same."""
    stated, model = problem(name, "tiny"), import_module(f"jax_impl.models.{name}")

    def both(params, batch):
        losses = model.losses(batch)
        grads = jax_impl.first_order.per_loss_retained(losses, params)
        return jax_impl.gram.gram(losses, params), jax_impl.aggregation.gramian(grads)

    with jax.enable_x64(True):
        params = {n: jnp.asarray(a) for n, a in to_flax(stated.params, stated.layout).items()}
        batch = {n: jnp.asarray(a) for n, a in stated.batch.items()}
        found, expected = map(np.asarray, jax.jit(both)(params, batch))
    assert apart(found, expected) <= 1e-14
    side = double(name)
    if name == "recurrent":
        grads = torch_impl.first_order.per_loss_retained(side.losses, side.params)
        bias = {loss: {"b": grad["trunk.lstm.bias_hh_l0"]} for loss, grad in grads.items()}
        found = found + torch_impl.aggregation.gramian(bias).numpy()
    assert apart(found, explicit(side)) <= 1e-12


@pytest.mark.parametrize("name", ["lesson", "digits"])
def test_a_head_that_touches_the_trunks_parameters_is_not_forgotten(name, monkeypatch):
    """Planted: without what heads do directly, `decay` and `reg` meet no other gradient."""
    side, whole = double(name), torch_impl.gram.head_grads

    def forgetful(heads, params, z):
        direct, dz = whole(heads, params, z)
        trunk = torch_impl.gram.reached(z, params)
        return {loss: {n: g for n, g in own.items() if n not in trunk} for loss, own in direct.items()}, dz

    monkeypatch.setattr(torch_impl.gram, "head_grads", forgetful)
    assert apart(in_torch(side), explicit(side)) > 1e-6


def test_one_loss_and_a_second_call():
    stated = many_heads(batch=4, width=3, depth=2, losses=1)
    side = sides.torch_side("many_heads", stated, dtype="float64")
    found = in_torch(side)
    assert found.shape == (1, 1)
    assert np.array_equal(found, in_torch(side))
    assert apart(found, explicit(side)) <= 1e-14


def test_the_parameters_are_left_as_they_were():
    side = double("digits")
    in_torch(side)
    assert all(p.grad is None and not p._backward_hooks for p in side.params.values())


def test_hooks_are_gone_after_a_failure(monkeypatch):
    side = double("digits")

    def breaks(*_, **__):
        raise RuntimeError("planted")

    monkeypatch.setattr(torch_impl.gram, "grad", breaks)
    with pytest.raises(RuntimeError, match="planted"):
        in_torch(side)
    assert not any(p._backward_hooks for p in side.params.values())


@pytest.mark.parametrize("depth", [2, 8])
def test_the_peak_holds_one_layers_gradients_in_torch(depth):
    """Beyond what the forward holds: a layer's K gradients, the copy that makes them, and two arrays of cotangents."""
    k, batch, width = 8, 4, 32
    side = sides.torch_side("many_heads", many_heads(batch, width, depth, k))
    in_torch(side)
    peak = torch_impl.memory.peak(lambda: torch_impl.gram.gram(side.losses, side.params))
    layer, features = 4 * k * (width**2 + width), 4 * k * batch * width
    held, heads, products = 4 * depth * batch * width, 4 * k * (width + 1), 4 * 2 * k**2
    assert peak <= held + heads + products + layer + 3 * features + 1024
    assert peak >= layer


def test_jax_plans_memory_for_a_few_layers_gradients_whatever_the_depth():
    k, batch, width = 8, 4, 32
    temps = []
    for depth in (4, 8):
        side = sides.jax_side("many_heads", many_heads(batch, width, depth, k))
        losses = import_module("jax_impl.models.many_heads").losses
        plan = jax_impl.memory.peak(lambda b, p: jax_impl.gram.gram(losses(b), p), side.batch, side.params)
        temps.append(plan.temp)
    layer = 4 * k * width**2
    assert temps[1] - temps[0] < 4 * layer / 2
    assert temps[1] < 8 * layer
