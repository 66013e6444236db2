"""Why the dense convolution has width 4: at width 2 one entry of a product is exactly 0, and both sides give rounding.

With one channel a group, GroupNorm takes the first convolution's bias out again, so no loss depends on it. Its entries
of H v are sums of terms that cancel to nothing. What is left is compared with a scale that is floored at 1e-3 of the
largest entry, which turns a few eps of that entry into more than 1e-12.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import torch_impl.models.conv as model
from comparisons.difference import FLOOR, TOLERANCE, difference
from comparisons.frameworks import in_jax, in_torch
from comparisons.problems import conv_, direction
from torch_impl.higher_order import total
from torch_impl.higher_order.products import hvp_reverse_over_reverse

EPS = np.finfo(float).eps
BIAS = "trunk.conv1.bias"
STATED = conv_(batch=4, width=2)
pytestmark = pytest.mark.xdist_group("rounding")


def tensors(arrays):
    return {name: torch.tensor(value) for name, value in arrays.items()}


@pytest.fixture(scope="module")
def products():
    return {take.__name__: take("conv", STATED, "hvp_forward_over_reverse") for take in (in_torch, in_jax)}


def test_no_loss_depends_on_the_bias():
    losses = model.losses(tensors(STATED.batch))
    params = tensors(STATED.params)
    values = losses(params)
    for shift in (0.5, -3.0):
        moved = losses(params | {BIAS: params[BIAS] + shift})
        assert max(abs(moved[name] - value) for name, value in values.items()) <= 8 * EPS * max(values.values())


def test_both_sides_give_the_zero_to_the_rounding_of_the_sum_that_it_is(products):
    """An offset for each pixel has the terms as its own product: their sum, over images and pixels, is the bias's."""
    terms = by_pixel()
    bound = 4 * EPS * abs(terms).sum((0, 2, 3))
    assert (abs(terms.sum((0, 2, 3))) <= bound).all()
    for found in products.values():
        assert (abs(found["total"][BIAS]) <= bound).all()


def test_beside_it_the_sides_are_equal_and_its_excess_is_the_floor(products):
    found = difference(products["in_jax"], products["in_torch"])
    assert max(pair.relative_error for pair in found.pairs if pair.parameter != BIAS) <= TOLERANCE
    for pair in found.pairs:
        if pair.parameter == BIAS:
            assert pair.error <= 16 * EPS * pair.scale / FLOOR


def by_pixel() -> np.ndarray:
    """H v of the total with respect to what is added to the first convolution's output (image, channel, y, x)."""
    params = {name: p.requires_grad_() for name, p in tensors(STATED.params).items()}
    params["offset"] = torch.zeros(4, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    along = tensors(direction(STATED)) | {"offset": torch.zeros_like(params["offset"])}
    losses = total(model.losses(tensors(STATED.batch)))
    convolve = F.conv2d

    class Shifted(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            return made + params["offset"] if func is convolve and args[0].shape[1] == 1 else made

    with Shifted():
        found = hvp_reverse_over_reverse(losses, params, along)
    return found["total"]["offset"].numpy()
