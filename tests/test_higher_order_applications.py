"""Derivatives inside a loss, solves and GradNorm: PyTorch's result is JAX's, in float64."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jax_impl.first_order
import jax_impl.higher_order as in_jax
import torch_impl.first_order
import torch_impl.higher_order as in_torch
from comparisons.frameworks import jax_scope
from comparisons.testing import assert_gradients_match

RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((4, 5, 6))
TASKS = [{"x": x[:, :1], "y": x[:, 1]} for x in POINTS[:2]]
CRITIC = {"real": POINTS[0], "fake": POINTS[1], "mix": RNG.random((5, 1))}
PDE = {"inside": RNG.random((9, 2)), "start": RNG.random((4, 2)), "start_u": RNG.random(4)}
PDE |= {"edge": RNG.random((4, 2)), "edge_u": RNG.random(4)}


def network(*widths):
    params = {}
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        params |= {f"w{k}": RNG.standard_normal((inputs, outputs)) / inputs**0.5}
        params |= {f"b{k}": RNG.standard_normal(outputs) / 10}
    return params


def arrays(module, given):
    convert = torch.tensor if module is in_torch else jnp.asarray
    return {name: convert(value) for name, value in given.items()}


def critic(module, params):
    return module.critic_losses(params, arrays(module, CRITIC))


def maml(module, params, second_order):
    tasks = [arrays(module, task) for task in TASKS]
    return {"task": module.maml(module.sine_loss, params, *tasks, 3, 0.05, second_order)}


def pde(module, params, equation):
    return module.pde_losses(getattr(module, equation), params, arrays(module, PDE))


CASES = {
    "critic": (critic, network(6, 8, 1)),
    "maml": (partial(maml, second_order=True), network(1, 8, 1)),
    "fomaml": (partial(maml, second_order=False), network(1, 8, 1)),
    "heat": (partial(pde, equation="heat"), network(2, 8, 1)),
    "burgers": (partial(pde, equation="burgers"), network(2, 8, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_losses_made_of_gradients_are_equal(case):
    losses, params = CASES[case]
    leaves = {name: p.requires_grad_() for name, p in arrays(in_torch, params).items()}
    found = torch_impl.first_order.per_loss_retained(partial(losses, in_torch), leaves)
    with jax_scope("float64", "cpu"):
        run = jax.jit(partial(jax_impl.first_order.per_loss_functional, partial(losses, in_jax)))
        assert_gradients_match(run(arrays(in_jax, params)), found)


@pytest.mark.parametrize("case", ["maml", "critic"])
def test_gradients_are_those_of_finite_differences(case):
    losses, params = CASES[case]
    leaves = {name: p.requires_grad_() for name, p in arrays(in_torch, params).items()}
    found = torch_impl.first_order.summed(partial(losses, in_torch), leaves)["total"]
    along = {name: np.cos(np.arange(p.size)).reshape(p.shape) for name, p in params.items()}

    def total(t):
        moved = arrays(in_torch, {name: p + t * along[name] for name, p in params.items()})
        return sum(v.item() for v in losses(in_torch, {n: p.requires_grad_() for n, p in moved.items()}).values())

    slope = sum((grad * torch.tensor(along[name])).sum().item() for name, grad in found.items() if grad is not None)
    assert (total(1e-5) - total(-1e-5)) / 2e-5 == pytest.approx(slope, rel=1e-7)


def test_a_zero_gradient_is_safe_only_in_the_safe_form():
    params = {name: 0 * p for name, p in network(6, 8, 1).items()} | {"w0": RNG.standard_normal((6, 8))}
    leaves = {name: p.requires_grad_() for name, p in arrays(in_torch, params).items()}
    with jax_scope("float64", "cpu"):
        for norm, finite in (("plain_norm", False), ("safe_norm", True)):
            value = in_torch.critic_losses(leaves, arrays(in_torch, CRITIC), getattr(in_torch, norm))["penalty"]
            assert not torch.autograd.grad(value, leaves["w1"])[0].any()
            given = arrays(in_jax, CRITIC), getattr(in_jax, norm)
            found = jax.grad(lambda p, given=given: in_jax.critic_losses(p, *given)["penalty"])(arrays(in_jax, params))
            assert bool(jnp.isfinite(found["w1"]).all()) is finite


def test_grad_norm_and_its_detached_form_give_one_gradient():
    params, found = CASES["critic"][1], []
    for module in (in_torch, in_jax):
        with jax_scope("float64", "cpu"):
            p, x = arrays(module, params), arrays(module, CRITIC)
            weights = arrays(module, {"a": np.array(1.3), "b": np.array(0.7)})
            if module is in_torch:
                for leaf in (*p.values(), *weights.values()):
                    leaf.requires_grad_()

            def losses(p, module=module, x=x):
                return {"a": (module.mlp(p, x["real"]) ** 2).mean(), "b": (module.mlp(p, x["fake"]) - 1).mean() ** 2}

            for name in ("grad_norm", "grad_norm_detached"):
                found.append(getattr(module, name)(losses, p, weights, {"a": 1.0, "b": 2.0}, ["w0", "b0"]))
    values = np.array([[float(each[name]) for name in ("a", "b")] for each in found])
    assert values.all()
    np.testing.assert_allclose(values, values[:1].repeat(4, 0), rtol=1e-12)
