"""A project's own test file: with gradparity installed, pytest has the fixture `gradients_match` in every test.

`pytest test_own_port.py` runs it. Both sides are plain functions of {name: array}; a layout says how PyTorch's
parameters become Flax's. At the end pytest prints how many gradients were compared, and how far apart they are.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from gradparity import layout

RNG = np.random.default_rng(0)
PARAMS = {"fc.weight": RNG.standard_normal((4, 3)), "fc.bias": RNG.standard_normal(4)}
BATCH = {"x": RNG.standard_normal((8, 3)), "y": RNG.standard_normal((8, 4))}
LAYOUT = {"fc": layout.linear(3, 4)}


def torch_losses(params, batch):
    y = torch.tanh(batch["x"] @ params["fc.weight"].T + params["fc.bias"])
    return {"fit": ((y - batch["y"]) ** 2).mean(), "size": y.abs().sum()}


def jax_losses(params, batch):
    y = jnp.tanh(batch["x"] @ params["fc.kernel"] + params["fc.bias"])
    return {"fit": ((y - batch["y"]) ** 2).mean(), "size": jnp.abs(y).sum()}


def test_the_port_has_the_same_losses_and_gradients(gradients_match):
    gradients_match.losses(torch_losses, jax_losses, PARAMS, layout=LAYOUT, batch=BATCH)


@pytest.mark.gradient_order(2)
def test_its_second_derivatives_agree_too(gradients_match):
    gradients_match.losses(torch_losses, jax_losses, PARAMS, layout=LAYOUT, batch=BATCH)


@pytest.mark.gradient_tolerance(1e-5)
@pytest.mark.parametrize("scale", [np.float32(0.1), np.float32(10)])
def test_gradients_that_were_taken_elsewhere(gradients_match, scale):
    """Two {loss: {parameter: array}} mappings, such as two training loops give; in float32, within 1e-5 of leaf scale."""
    w = torch.tensor(PARAMS["fc.weight"], dtype=torch.float32, requires_grad=True)
    (expected,) = torch.autograd.grad(torch.tanh(scale * w).sum(), w)
    actual = jax.grad(lambda w: jnp.tanh(scale * w).sum())(w.detach().numpy())
    gradients_match({"sum": {"w": actual}}, {"sum": {"w": expected}})
