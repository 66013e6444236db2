"""What is a difference, and what the message says of it."""

from collections import namedtuple

import jax.numpy as jnp
import numpy as np
import pytest
from torch import ones as torch_ones

from comparisons.difference import difference
from comparisons.layout import linear
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


def test_two_arrays_of_one_name_are_refused():
    """One of them would stand for both."""
    grads = {"l": {"a": {"b": ONES}, "a.b": ONES}}
    with pytest.raises(ValueError, match=r"two arrays are named 'a\.b'"):
        assert_gradients_match(grads, grads)


@pytest.mark.parametrize(("factor", "said"), [(10, "10 x"), (100, "100 x"), (0.25, "0.25 x"), (-3, "-3 x")])
def test_a_factor_is_said_plainly_and_not_of_one_number(factor, said):
    many = np.arange(1.0, 4)
    with pytest.raises(GradientMismatch, match=f"actual = {said} expected"):
        assert_gradients_match({"l": {"w": factor * many}}, {"l": {"w": many}})
    with pytest.raises(GradientMismatch) as found:
        assert_gradients_match({"l": {"w": factor * many[:1]}}, {"l": {"w": many[:1]}})
    assert "x expected" not in str(found.value)


@pytest.mark.parametrize("names", [("x",), "jax", ("a", "b", "c")])
def test_names_are_two(names):
    with pytest.raises(ValueError, match="`names` must be two"):
        assert_gradients_match({"l": {"w": ONES}}, {"l": {"w": ONES}}, names=names)


def test_containers_of_every_kind_compare():
    import torch

    grads = {"l": {"w": torch.ones(2), "b": torch.eye(2)}}
    pair = namedtuple("pair", ["w", "b"])
    assert_gradients_match({"l": pair(jnp.ones(2), jnp.eye(2))}, grads)
    assert_gradients_match({"l": {"w": torch.ones(2), "b": torch.eye(2).to_sparse()}}, grads)
    assert_gradients_match({"l": {"w": [1.0, 1.0], "b": [[1.0, 0.0], [0.0, 1.0]]}}, {"l": {"w": ONES, "b": np.eye(2)}})


ONES = np.ones(2)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (ONES, {"w": ONES}, r"actual, loss 'l': expected a mapping \{parameter: array\}, got a ndarray"),
        ({"w": "one"}, {"w": ONES}, "actual, loss 'l': 'w' is a str: neither an array nor a mapping of them"),
        ({"w": [1, 2]}, {"w": ONES}, "actual, loss 'l': 'w' has dtype int64"),
        ({"w": ONES + 0j}, {"w": ONES}, "d l / d w is complex in actual and real in expected"),
        ({"w": ONES}, {"w": ONES.astype(np.float32)}, "expected is not in float64 and actual is: was x64 off?"),
        ({"w": jnp.ones(2)}, {"w": torch_ones(2).double()}, "jax is not in float64 and torch is: was x64 off?"),
    ],
)
def test_what_no_gradient_looks_like_is_said_with_side_and_loss(actual, expected, message):
    with pytest.raises(ValueError, match=message):
        assert_gradients_match({"l": actual}, {"l": expected})


def test_float32_against_float64_is_a_choice():
    single = {"l": {"w": ONES.astype(np.float32) * (1 + 1e-6)}}
    assert_gradients_match(single, {"l": {"w": ONES}}, tolerance=1e-5)
    with pytest.raises(GradientMismatch, match="float32"):
        assert_gradients_match(single, {"l": {"w": ONES}}, tolerance=2e-7)


@pytest.mark.parametrize("layout", [3, {"l": 3}])
def test_a_layout_that_is_none_is_refused(layout):
    grads = {"l": {"w": ONES}}
    with pytest.raises(ValueError, match=r"`layout` must map layer names to rows of gradparity.layout"):
        assert_gradients_match(grads, grads, layout=layout)


def test_none_cannot_be_mapped():
    rows = {"fc": linear(2, 1, bias=False)}
    with pytest.raises(ValueError, match=r"jax: d l / d fc.kernel is None, which no layout can map: pass zeros"):
        assert_gradients_match({"l": {"fc.kernel": None}}, {"l": {"fc.weight": np.ones((1, 2))}}, layout=rows)


def test_a_hint_that_pairs_share_is_given_once():
    many = {loss: {f"p{k}": RNG.standard_normal(3) for k in range(6)} for loss in ("fit", "size")}
    wrong = many | {"fit": {name: g / 2 for name, g in many["fit"].items()}}
    text = str(difference(wrong, many))
    assert "  by loss: fit 6 of 6\n  hint for 6 of them: actual = 0.5 x expected" in text
    assert text.count("hint") == 1
    assert len(text.splitlines()) == 3 + 4 * 3 + 2


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
