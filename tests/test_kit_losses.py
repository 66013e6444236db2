"""Two functions compared: values first, then gradients, then products; and which side is wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from comparisons.layout import linear, parameter
from comparisons.testing import GradientMismatch, assert_gradients_match, assert_losses_match

RNG = np.random.default_rng(2)
PARAMS = {"l.weight": RNG.standard_normal((4, 3)), "l.bias": RNG.standard_normal(4), "t": np.array(0.5)}
BATCH = {"x": RNG.standard_normal((5, 3))}
LAYOUT = {"l": linear(3, 4), "t": parameter()}


def torch_losses(p, b, bug=""):
    y = torch.tanh(b["x"] @ p["l.weight"].T + p["l.bias"])
    seen = y.detach() if bug == "detach" else y
    return {"main": (y**2).sum() if bug == "sum" else (y**2).mean(), "aux": (seen.sum() - p["t"]) ** 2}


def jax_losses(p, b, bug=""):
    y = jnp.tanh(b["x"] @ p["l.kernel"] + p["l.bias"])
    seen = jax.lax.stop_gradient(y) if bug == "detach" else y
    return {"main": (y**2).mean(), "aux": (seen.sum() - p["t"]) ** 2}


def match(here="", there="", **options):
    return assert_losses_match(
        lambda p, b: torch_losses(p, b, here),
        lambda p, b: jax_losses(p, b, there),
        PARAMS,
        layout=LAYOUT,
        batch=BATCH,
        **options,
    )


def test_equal_functions_agree_to_second_order_by_every_strategy_and_in_float32():
    found = match(order=2, strategies=["summed", "per_loss_batched"])
    assert len(found.products) == 2
    assert sorted(found.strategies) == [f"{s} in {f}" for s in ("per_loss_batched", "summed") for f in ("jax", "torch")]
    for side in ("jax", "torch"):
        assert 0 < found.float32[side].pairs[0].relative_error < 1e-5
    assert "float32 in jax: worst" in str(found)


@pytest.mark.parametrize(("here", "there", "side"), [("detach", "", "torch"), ("", "detach", "jax")])
def test_the_side_whose_gradient_is_cut_is_named(here, there, side):
    with pytest.raises(GradientMismatch, match="loss values agree; their gradients do not") as error:
        match(here, there, float32=False)
    text = str(error.value)
    assert f"{side}'s gradient of 'aux' is NOT the derivative of its own loss" in text
    assert "Taylor slope 1.00" in text
    assert "Taylor slope 2.00" in text
    assert f"-> fix {side}:" in text


@pytest.mark.parametrize("factor", [1.2, 2, 3])
def test_a_cut_on_both_sides_hides_no_other_bug(factor):
    """Both gradients are off their own functions, by however much the functions themselves are apart."""

    def here(p):
        h = torch.sin(p["w"])
        return {"a": ((h - h.detach() * 0.5) ** 2).sum()}

    def there(p):
        h = factor * jnp.sin(p["w"])
        return {"a": ((h - jax.lax.stop_gradient(h * 0.5)) ** 2).sum()}

    with pytest.raises(GradientMismatch, match="neither gradient is the derivative of its own 'a'") as error:
        assert_losses_match(here, there, {"w": np.array([1.0, 2, -1, 0.5])}, float32=False)
    assert [slope.right for slope in error.value.slopes] == [False, False]


def test_a_cut_that_the_port_lacks_may_be_meant():
    with pytest.raises(GradientMismatch, match="or, if torch cuts there on purpose, jax lacks it"):
        match("detach", float32=False)


def test_different_functions_are_told_from_wrong_gradients():
    with pytest.raises(GradientMismatch, match="loss values differ in 1 of 2") as error:
        match("sum", float32=False)
    assert "-> each side differentiates its own 'main' rightly" in str(error.value)
    assert error.value.difference.pairs[0].loss == "main"


def test_a_wrong_second_derivative_is_found_at_order_2():
    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (g * 3 * jax.lax.stop_gradient(x) ** 2,))
    both = (lambda p: {"a": (p["x"] ** 3).sum()}, lambda p: {"a": cube(p["x"]).sum()}, {"x": np.arange(1.0, 4)})
    assert_losses_match(*both)
    straight = (both[0], lambda p: {"a": (p["x"] * jax.lax.stop_gradient(p["x"] ** 2) * 3 - 2 * s(p["x"] ** 3)).sum()})
    with pytest.raises(GradientMismatch, match="the second derivatives do not") as error:
        assert_losses_match(*straight, both[2], order=2)
    text = str(error.value)
    assert "jax's Hessian-vector product of 'a' is NOT the derivative of its own gradient" in text
    assert "torch's Hessian-vector product of 'a' is the derivative of its own gradient" in text
    assert "-> fix jax:" in text
    assert [(slope.side, slope.right, slope.order) for slope in error.value.slopes] == [
        ("jax", False, 2),
        ("torch", True, 2),
    ]


def test_what_rounding_explains_is_called_ill_conditioned_and_a_bug_beside_it_is_not():
    """A variance far from zero: float64 itself cannot tell the two sides apart."""
    x, point = 1e6 + RNG.standard_normal((6, 8)), {"w": RNG.standard_normal(8), "b": np.ones(2)}
    here = lambda p: {"a": (torch.tensor(x) @ p["w"]).var(unbiased=False) + p["b"].sum()}  # noqa: E731
    there = lambda p: (x * p["w"]).sum(1).var() + p["b"].sum()  # noqa: E731
    with pytest.raises(GradientMismatch) as error:
        assert_losses_match(here, lambda p: {"a": there(p)}, point)
    assert "d a / d w is ill-conditioned: the last bit of what goes in moves it" in str(error.value)
    assert "-> centre or scale what goes in, or pass tolerance=" in str(error.value)
    assert not error.value.slopes
    with pytest.raises(GradientMismatch) as error:
        assert_losses_match(here, lambda p: {"a": there(p) + 1e-7 * p["b"].sum()}, point)
    assert "d a / d b is ill" not in str(error.value)


def test_dropout_left_on_is_named_and_no_gradient_is_blamed():
    def noisy(p, b):
        found = torch_losses(p, b)
        return found | {"main": found["main"] * torch.rand(())}

    with pytest.raises(GradientMismatch, match="loss values differ in 1 of 2: by chance") as error:
        assert_losses_match(noisy, jax_losses, PARAMS, layout=LAYOUT, batch=BATCH)
    assert "-> torch's 'main' changes from one call to the next" in str(error.value)
    assert not error.value.slopes


def test_a_gradient_that_is_not_finite_is_named_with_its_side():
    point = {"w": np.array([0.0, 2.0])}
    here = lambda p: {"a": torch.where(p["w"] > 1, p["w"], 0.0).sum()}  # noqa: E731
    there = lambda p: {"a": jnp.where(p["w"] > 1, jnp.sqrt(p["w"]) ** 2, 0.0).sum()}  # noqa: E731
    with pytest.raises(GradientMismatch, match="-> fix jax: its gradient of 'a' is not finite where 'a' is"):
        assert_losses_match(here, there, point, tolerance=1e-9)


def test_a_float32_softmax_is_a_small_part_off_and_its_side_is_named():
    w = {"w": RNG.standard_normal((3, 5))}
    here = lambda p: {"a": (torch.softmax(p["w"], -1) ** 2).sum()}  # noqa: E731

    def there(p):
        return {"a": (jax.nn.softmax(p["w"].astype("float32")).astype("float64") ** 2).sum()}

    with pytest.raises(GradientMismatch, match=r"a small part off everywhere: .* a float32 softmax"):
        assert_losses_match(here, there, w)


def test_what_a_function_does_to_its_mapping_stays_there():
    def adds(p):
        p["more"] = p["w"] * 2
        return square(p)

    assert_losses_match(adds, adds, POINT)


s = jax.lax.stop_gradient
POINT = {"w": np.ones(2)}


def square(p):
    return {"a": (p["w"] ** 2).sum()}


@pytest.mark.parametrize(
    ("here", "there", "params", "message"),
    [
        (square, square, {}, "is empty"),
        (square, square, {"w": np.array([1.0, np.nan])}, "NaN or infinity in 'w'"),
        (square, square, {"w": np.arange(2)}, "'w' has dtype int64"),
        (square, square, 3, "pass {name: array}"),
        (square, square, {"w": ["one"]}, "'w.0' is a str: neither an array"),
        (lambda p: {}, square, POINT, "torch: the mapping of losses is empty"),
        (lambda p: p["w"].sum(), square, POINT, "torch: the losses must come as a mapping"),
        (lambda p: {"a": p["w"]}, square, POINT, r"torch: loss 'a' has shape \[2\]"),
        (square, lambda p: {"a": p["w"]}, POINT, r"jax: loss 'a' has shape \[2\]"),
        (square, lambda p: p["w"].sum(), POINT, "jax: the losses must come as a mapping"),
        (lambda p: {"a": p["w"].float().sum()}, square, POINT, "torch: loss 'a' is float32 where float64 was promised"),
        (square, lambda p: {"a": p["w"].astype("float32").sum()}, POINT, "jax: loss 'a' is float32 where float64"),
        (
            square,
            lambda p: {"b": p["w"].sum()},
            POINT,
            "losses must have the same names on both sides: only jax has 'b'",
        ),
        (square, lambda p: {"a": jnp.log(-p["w"].sum())}, POINT, "loss 'a' is nan in jax and 2 in torch"),
        (lambda p: {"a": p["w"].sum().item()}, square, POINT, "taken by .item()"),
    ],
)
def test_bad_input_is_said_before_anything_is_compared(here, there, params, message):
    with pytest.raises(ValueError, match=message):
        assert_losses_match(here, there, params)


@pytest.mark.parametrize("options", [{"batch": [1]}, {"layout": 3}, {"strategies": ["sumed"]}, {"order": 3}])
def test_bad_options_of_two_functions(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        assert_losses_match(square, square, POINT, **options)


@pytest.mark.parametrize("options", [{"order": 3}, {"unused": "no"}, {"tolerance": -1.0}])
def test_bad_options(options):
    grads = {"a": {"w": np.ones(2)}}
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        assert_gradients_match(grads, grads, **options)


def test_unused_parameters_are_a_choice():
    none, zeros = {"a": {"w": np.ones(2), "b": None}}, {"a": {"w": np.ones(2), "b": np.zeros(2)}}
    assert_gradients_match(none, zeros)
    assert_gradients_match(none, none, unused="none")
    with pytest.raises(GradientMismatch, match="missing"):
        assert_gradients_match(none, zeros, unused="none")
    with pytest.raises(ValueError, match="d a / d b is None in actual"):
        assert_gradients_match(none, zeros, unused="error")


def test_float32_among_float64_and_a_tolerance_that_needs_float64_are_refused():
    mixed = {"a": {"w": np.ones(2), "b": np.ones(2, np.float32)}}
    with pytest.raises(ValueError, match="d a / d b is not in float64 and others are"):
        assert_gradients_match(mixed, mixed)
    single = {"a": {"w": np.ones(2, np.float32)}}
    with pytest.raises(ValueError, match="`tolerance` 1e-12 needs float64"):
        assert_gradients_match(single, single, tolerance=1e-12)
    with pytest.raises(ValueError, match="has dtype int64"):
        assert_gradients_match({"a": {"w": np.arange(2)}}, {"a": {"w": np.arange(2)}})


def test_nested_trees_nnx_states_and_linen_variables_are_flattened():
    flat = {"a": {"fc.bias": np.zeros(2, np.float32), "fc.kernel": np.ones((3, 2), np.float32)}}
    module = nnx.Module()
    module.fc = nnx.Linear(3, 2, kernel_init=nnx.initializers.ones, rngs=nnx.Rngs(0))
    assert_gradients_match({"a": nnx.state(module)}, flat)
    tree = {"fc": {"bias": jnp.zeros(2), "kernel": jnp.ones((3, 2))}}
    assert_gradients_match({"a": {"params": tree}}, flat)
    assert_gradients_match({"a": tree}, flat)


def test_names_that_do_not_match_have_their_nearest():
    with pytest.raises(ValueError, match=r"only jax has 'kernal' \(nearest: 'kernel'\); only torch has 'kernel'"):
        assert_gradients_match({"a": {"kernal": jnp.ones(2)}}, {"a": {"kernel": torch.ones(2)}})


HINTS = {
    "conjugate": (lambda g: g.conj(), RNG.standard_normal((3, 2)) + 1j, "is the conjugate of expected"),
    "flipped": (lambda g: g[:, :, ::-1, ::-1], RNG.standard_normal((2, 3, 3, 3)), "spatial axes flipped"),
    "axes": (lambda g: g.transpose(0, 2, 1), RNG.standard_normal((2, 3, 3)), r"axes in the order \(0, 2, 1\)"),
    "thirds": (lambda g: np.concatenate([g[3:6], g[:3], g[6:]]), RNG.standard_normal((9, 5)), "thirds"),
    "quarters": (lambda g: g.reshape(4, 3, 5)[[0, 2, 1, 3]].reshape(12, 5), RNG.standard_normal((12, 5)), "quarters"),
    "offset": (lambda g: g + 0.25, RNG.standard_normal((5, 7)), "expected plus one constant everywhere"),
    "row": (lambda g: g * (np.arange(5) != 2)[:, None], RNG.standard_normal((5, 7)), "only index 2 of axis 0"),
}


@pytest.mark.parametrize("cause", HINTS)
def test_a_hint_names_the_cause(cause):
    change, expected, message = HINTS[cause]
    with pytest.raises(GradientMismatch, match=message):
        assert_gradients_match({"a": {"w": change(expected)}}, {"a": {"w": expected}})


def test_the_text_counts_eps_and_summarises_what_differs_everywhere():
    expected = {loss: {f"p{k}": RNG.standard_normal(3).astype(np.float32) for k in range(8)} for loss in "ab"}
    wrong = {"a": {name: g / 2 for name, g in expected["a"].items()}, "b": {n: g / 2 for n, g in expected["b"].items()}}
    with pytest.raises(GradientMismatch) as error:
        assert_gradients_match(wrong, expected)
    text = str(error.value)
    assert "by loss: a 8 of 8, b 8 of 8" in text
    assert "hint for 16 of them: actual = 0.5 x expected" in text
    assert "= 4.19e+06 eps; allowed 7.63e-06 = 64 eps" in text
    assert len(text.splitlines()) < 35


def test_a_batch_may_be_of_half_precision_or_require_grad():
    def losses(p, batch):
        return {"l": (p["w"] * batch["x"]).sum()}

    for x in (torch.ones(2, dtype=torch.bfloat16), torch.ones(2, requires_grad=True), jnp.ones(2, "bfloat16")):
        assert_losses_match(losses, losses, {"w": np.ones(2)}, batch={"x": x})


@pytest.mark.parametrize("value", [None, "s", {"a": 1}, [[1], [1, 2]], object()], ids=lambda x: type(x).__name__)
def test_what_is_no_array_in_a_batch_is_named(value):
    with pytest.raises(ValueError, match=r"`batch` has an? \w+ in 'x': give an array"):
        assert_losses_match(dict, dict, {"w": np.ones(2)}, batch={"x": value})


@pytest.mark.parametrize(
    ("torch_function", "jax_function"), [(torch.relu, lambda b: jnp.maximum(b, 0)), (torch.abs, jnp.abs)]
)
def test_two_subgradients_at_a_kink_accuse_nobody(torch_function, jax_function):
    """Central differences are the mean of both slopes, which is one side's choice."""
    with pytest.raises(GradientMismatch) as found:
        assert_losses_match(
            lambda p: {"l": torch_function(p["b"]).sum()},
            lambda p: {"l": jax_function(p["b"]).sum()},
            {"b": np.zeros(3)},
        )
    assert "-> 'l' is not smooth here (a relu, an abs, a tie): each side takes its own subgradient" in str(found.value)
    assert "-> fix" not in str(found.value)


def test_a_claim_outside_the_slopes_at_a_kink_is_wrong():
    """relu's subgradients at 0 are 0 to 1: 1.4 is none of them."""
    steep = jax.custom_vjp(lambda b: jnp.maximum(b, 0))
    steep.defvjp(lambda b: (jnp.maximum(b, 0), None), lambda _, cotangent: (1.4 * cotangent,))
    with pytest.raises(GradientMismatch, match="jax's gradient of 'l' is no subgradient of its own loss") as found:
        assert_losses_match(
            lambda p: {"l": torch.relu(p["b"]).sum()}, lambda p: {"l": steep(p["b"]).sum()}, {"b": np.zeros(3)}
        )
    assert "-> fix jax: " in str(found.value)


def test_a_cut_away_from_its_kink_is_still_a_cut():
    with pytest.raises(GradientMismatch, match="-> fix torch: a detach"):
        assert_losses_match(
            lambda p: {"l": (torch.relu(p["b"]).detach() * p["b"]).sum()},
            lambda p: {"l": (jax.nn.relu(p["b"]) * p["b"]).sum()},
            {"b": np.arange(-2.0, 3)},
        )


def _distilled(framework, log_softmax, given, cut=lambda x: 0.0):
    """A student against itself: the divergence, its gradient and, but for rounding, their difference are 0."""
    x, w = given(np.random.default_rng(0).standard_normal((16, 5))), given(WEIGHT)

    def losses(p):
        student, teacher = log_softmax(x @ p["w"], -1), log_softmax(x @ w, -1)
        kl = (framework.exp(teacher) * (teacher - student)).sum(-1).mean()
        return {"kl": kl + 1e-9 * cut(p["w"].sum())}

    return losses


WEIGHT = np.random.default_rng(1).standard_normal((5, 7))
STUDENT = _distilled(torch, torch.log_softmax, torch.tensor)


def test_where_a_gradient_is_rounding_of_zero_nobody_is_accused():
    student = _distilled(jnp, jax.nn.log_softmax, np.asarray)
    with pytest.raises(GradientMismatch) as found:
        assert_losses_match(STUDENT, student, {"w": WEIGHT})
    text = str(found.value)
    assert "-> 'kl' is flat where the sides differ: no gradient can be compared there; take other parameters" in text
    assert "compute different functions" not in text
    assert "-> fix" not in text


def test_a_small_cut_where_the_rest_of_the_gradient_is_zero_is_still_a_cut():
    student = _distilled(jnp, jax.nn.log_softmax, np.asarray, lambda x: x - jax.lax.stop_gradient(x))
    with pytest.raises(GradientMismatch) as found:
        assert_losses_match(STUDENT, student, {"w": WEIGHT})
    assert "-> fix jax: " in str(found.value)


@pytest.mark.parametrize(
    ("w", "b", "function"),
    [([0.1, 0.2], [400.0], (torch.exp, jnp.exp)), ([1e-7], [1e-3], (torch.square, jnp.square))],
    ids=["it grows", "its parameter is small"],
)
def test_a_cut_is_no_rounding_of_zero_whatever_the_scales(w, b, function):
    in_torch, in_jax = function
    with pytest.raises(GradientMismatch) as found:
        assert_losses_match(
            lambda p: {"l": in_torch(p["w"]).sum() + p["b"].sum()},
            lambda p: {"l": jax.lax.stop_gradient(in_jax(p["w"])).sum() + p["b"].sum()},
            {"w": np.array(w), "b": np.array(b)},
        )
    assert "is flat" not in str(found.value)
    assert "-> fix jax: " in str(found.value)


@pytest.mark.parametrize("seed", range(8))
def test_finite_differences_do_not_accuse_where_the_loss_drowns_them(seed):
    """The differing term is 1e-12 of the loss: its last bits, over the step, are as much as the gap."""
    rng = np.random.default_rng(seed)
    w, x = rng.standard_normal(6), rng.standard_normal((500, 6))

    def in_torch(p):
        return {"l": 1e12 * torch.tanh(torch.tensor(x) @ p["w"]).square().mean() + torch.tanh(p["w"]).sum()}

    def in_jax(p):
        return {"l": 1e12 * (jnp.tanh(x @ p["w"]) ** 2).mean() + jax.lax.stop_gradient(jnp.tanh(p["w"])).sum()}

    with pytest.raises(GradientMismatch) as found:
        assert_losses_match(in_torch, in_jax, {"w": w}, float32=False)
    assert "-> fix torch" not in str(found.value)
    assert "-> neither" not in str(found.value)


def test_rounding_that_the_batch_brings_is_rounding():
    """A mean is taken off numbers about 1e4: the parameters are scale and shift behind it."""

    def in_torch(p, batch):
        c = batch["x"] - batch["x"].mean(-1, keepdim=True)
        return {"l": (c * (c.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * p["g"] + p["b"]).tanh().sum()}

    def in_jax(p, batch):
        c = batch["x"] - batch["x"].mean(-1, keepdims=True)
        return {"l": jnp.tanh(c / jnp.sqrt((c**2).mean(-1, keepdims=True) + 1e-5) * p["g"] + p["b"]).sum()}

    x = np.random.default_rng(0).standard_normal((6, 8)) + 1e4
    with pytest.raises(GradientMismatch, match="rounding explains it") as found:
        assert_losses_match(in_torch, in_jax, {"g": np.full(8, 0.7), "b": np.full(8, 0.1)}, batch={"x": x})
    assert "-> fix" not in str(found.value)
