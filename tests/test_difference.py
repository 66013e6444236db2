"""What is a difference, and what the message says of it."""

import numpy as np
import pytest

from comparisons.difference import difference
from gradparity import GradientMismatch, assert_gradients_match

RNG = np.random.default_rng(0)
SQUARE, OTHER = RNG.standard_normal((8, 8)), RNG.standard_normal((8, 8))
EXPECTED = {"main": {"w": SQUARE, "b": RNG.standard_normal(8)}, "aux": {"w": OTHER, "b": RNG.standard_normal(8)}}


def changed(array=None, **main):
    return EXPECTED | {"main": EXPECTED["main"] | main | ({} if array is None else {"w": array})}


def with_one(value):
    array = SQUARE.copy()
    array[3, 5] = value
    return array


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (0.5 * SQUARE, "actual = 0.5 x expected"),
        (-SQUARE, "actual = -1 x expected"),
        ((1 + 1e-9) * SQUARE, "actual = 1.000000001 x expected"),
        (SQUARE.T, "transpose"),
        (OTHER, "the gradient of 'aux'"),
        (SQUARE + 1e-3 * OTHER, "actual = expected + 0.001 x the gradient of 'aux'"),
        (np.zeros_like(SQUARE), "zero in actual"),
        (None, "missing (None) in actual"),
        (with_one(np.nan), "1 of 64 in actual"),
        (with_one(SQUARE[3, 5] + 1e-9), None),
    ],
)
def test_a_cause_is_named(wrong, hint):
    actual = changed(w=wrong)
    pair = difference(actual, EXPECTED).pairs[0]
    assert (pair.loss, pair.parameter) == ("main", "w")
    assert not pair.equal
    assert pair.hint is None if hint is None else hint in pair.hint
    with pytest.raises(GradientMismatch, match="gradients differ in 1 of 4"):
        assert_gradients_match(actual, EXPECTED)


def test_one_element_is_located():
    pair = difference(changed(with_one(SQUARE[3, 5] + 1e-9)), EXPECTED).pairs[0]
    assert pair.worst == (3, 5)
    assert pair.outside == 1
    assert pair.error == pytest.approx(1e-9, rel=1e-3)
    assert pair.actual - pair.expected == pytest.approx(1e-9, rel=1e-3)


def test_rounding_passes_and_the_scale_has_a_floor():
    """A true zero, such as an attention key's bias, is rounding noise on both sides."""
    noise = {"main": {"w": SQUARE, "b": np.full(8, 1e-16)}}
    assert difference({"main": {"w": SQUARE * (1 + 1e-15), "b": np.full(8, -1e-16)}}, noise).unequal == ()
    assert difference({"main": {"w": SQUARE, "b": np.full(8, 1e-8)}}, noise).unequal != ()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_differ_even_from_themselves(value):
    both = changed(with_one(value))
    with pytest.raises(GradientMismatch, match="NaN or infinite: 1 of 64 in actual, 1 of 64 in expected"):
        assert_gradients_match(both, both)


def test_none_counts_as_zeros():
    zeros = changed(b=np.zeros(8))
    assert difference(changed(b=None), zeros).unequal == ()
    both = {(pair.loss, pair.parameter): pair for pair in difference(changed(b=None), changed(b=None)).pairs}
    assert both["main", "b"].unused == "actual and expected"


def test_all_pairs_come_worst_first_and_a_long_list_is_cut():
    many = {"loss": {f"p{k:02}": np.full(3, 1.0) for k in range(20)}}
    wrong = {"loss": {f"p{k:02}": np.full(3, 1.0 + k / 10) for k in range(20)}}
    found = difference(wrong, many)
    assert [pair.parameter for pair in found.pairs][:2] == ["p19", "p18"]
    assert len(found.unequal) == 19
    assert "and 9 more pairs" in str(found)


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        ({}, "losses must have the same names on both sides: only expected has 'aux', 'main'"),
        (EXPECTED | {"main": {"w": SQUARE}}, "parameters of loss 'main' must .* only expected has 'b'"),
        (changed(SQUARE[:4]), r"d main / d w has shape \[4, 8\] in actual and \[8, 8\] in expected"),
    ],
)
def test_what_cannot_be_compared_is_an_error_and_no_difference(actual, message):
    with pytest.raises(ValueError, match=message):
        assert_gradients_match(actual, EXPECTED)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="nothing to compare"):
        assert_gradients_match({}, {})


def test_tensors_and_arrays_of_every_kind_compare():
    import jax.numpy as jnp
    import torch

    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert_gradients_match({"l": {"w": torch.tensor(values)}}, {"l": {"w": jnp.asarray(values)}})
    assert_gradients_match({"l": {"w": torch.tensor(values, dtype=torch.bfloat16)}}, {"l": {"w": values}})
    with pytest.raises(GradientMismatch, match="actual=torch, expected=jax"):
        assert_gradients_match(
            {"l": {"w": torch.tensor(values)}}, {"l": {"w": jnp.asarray(2 * values)}}, names=("torch", "jax")
        )


def test_float32_gets_its_own_allowance_and_float64_does_not():
    a = np.ones(4)
    near = {"l": {"w": a + 1e-7}}
    assert_gradients_match({"l": {"w": near["l"]["w"].astype(np.float32)}}, {"l": {"w": a.astype(np.float32)}})
    with pytest.raises(GradientMismatch):
        assert_gradients_match(near, {"l": {"w": a}})


def test_complex_gradients_compare():
    z = {"l": {"w": np.array([3 + 4j, 1 - 2j])}}
    assert_gradients_match(z, z)
    with pytest.raises(GradientMismatch):
        assert_gradients_match({"l": {"w": z["l"]["w"].conj()}}, z)
