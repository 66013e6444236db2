"""Parameter maps: the dot test for every rule, and layers that agree with the frameworks' own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparisons import layout
from comparisons.layout import Layer, from_flax, to_flax

SIZE = st.integers(1, 5)
RULES = {
    "parameter": st.builds(layout.parameter, SIZE, SIZE),
    "linear": st.builds(layout.linear, SIZE, SIZE, st.booleans()),
    "conv1d": st.builds(layout.conv, SIZE, SIZE, SIZE),
    "conv2d": st.builds(layout.conv, SIZE, SIZE, SIZE, SIZE),
    "conv3d": st.builds(layout.conv, SIZE, SIZE, SIZE, SIZE, SIZE),
    "norm": st.builds(layout.norm, SIZE),
    "attention": st.builds(lambda each, heads: layout.attention(each * heads, heads), SIZE, SIZE),
    "lstm": st.builds(layout.lstm, SIZE, SIZE),
    "tied": st.builds(layout.tied, SIZE, SIZE),
    "embedding": st.builds(layout.embedding, SIZE, SIZE),
    "general": st.builds(layout.general, st.tuples(SIZE, SIZE), st.tuples(SIZE), st.booleans()),
    "conv_transpose2d": st.builds(
        layout.conv_transpose, SIZE, SIZE, SIZE, SIZE, bias=st.booleans(), transpose_kernel=st.booleans()
    ),
    "attention_joined": st.builds(layout.attention_joined, SIZE, st.just("qkv"), st.just("out"), st.booleans()),
    "lstm_gates": st.builds(layout.lstm_gates, SIZE, SIZE, st.booleans()),
    "gru": st.builds(layout.gru, SIZE, SIZE, st.just(False)),  # with biases it takes no b_hn: test_kit_port.py
    "gru_gates": st.builds(layout.gru_gates, SIZE, SIZE, st.booleans()),
}


def test_every_rule_is_tested():
    makers = {name for name, f in vars(layout).items() if getattr(f, "__annotations__", {}).get("return") is Layer}
    assert makers - {"_permuted"} == {name.removesuffix("1d").removesuffix("2d").removesuffix("3d") for name in RULES}


@pytest.mark.parametrize("rule", RULES)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_the_adjoint_passes_the_dot_test(rule, data, seed):
    """<L u, v> = <u, L' v> for whole numbers, where it holds exactly."""
    layer, rng = data.draw(RULES[rule]), np.random.default_rng(seed)
    u = {f"layer.{leaf}".removesuffix("."): rng.integers(-9, 9, shape) for leaf, shape in layer.shapes.items()}
    there = to_flax(u, {"layer": layer})
    v = {name: rng.integers(-9, 9, array.shape) for name, array in there.items()}
    back = from_flax(v, {"layer": layer})
    assert {name: array.shape for name, array in back.items()} == {name: array.shape for name, array in u.items()}
    assert sum(np.vdot(there[n], v[n]) for n in v) == sum(np.vdot(u[n], back[n]) for n in u)


def test_a_map_that_is_no_permutation_is_not_undone_by_its_adjoint():
    layer = {"l": layout.lstm(2, 3)}
    u = {f"l.{leaf}": np.ones(shape) for leaf, shape in layer["l"].shapes.items()}
    assert (from_flax(to_flax(u, layer), layer)["l.bias_ih_l0"] == 2).all()


def test_a_parameter_without_a_rule_is_an_error():
    with pytest.raises(ValueError, match=r"`layout` has no layer for \['b.weight'\]: add a row"):
        to_flax({"a.weight": np.ones((1, 2)), "b.weight": np.ones(2)}, {"a": layout.linear(2, 1, bias=False)})


def test_a_layer_without_its_parameters_is_an_error_that_lists_what_there_is():
    with pytest.raises(ValueError, match="layer 'l' of the layout needs 'weight'; it has nothing of its own among w"):
        to_flax({"w": np.ones((1, 2))}, {"l": layout.linear(2, 1)})


def test_tied_weights_sum_the_gradients_of_their_copies():
    """PyTorch differentiates one shared weight; JAX two copies of it."""
    import jax
    import jax.numpy as jnp
    import torch

    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((3, 5)), rng.standard_normal((4, 5))
    shared = torch.tensor(w, requires_grad=True)
    ((torch.tanh(torch.tensor(x) @ shared.T) @ shared) ** 2).sum().backward()

    def loss(p):
        return ((jnp.tanh(x @ p["net.embed.kernel"]) @ p["net.attend.kernel"]) ** 2).sum()

    layer = {"net": layout.tied(5, 3)}
    with jax.enable_x64(True):
        copies = {name: jnp.asarray(array) for name, array in to_flax({"net.weight": w}, layer).items()}
        grads = {name: np.asarray(g) for name, g in jax.grad(loss)(copies).items()}
    np.testing.assert_allclose(from_flax(grads, layer)["net.weight"], shared.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("row", "shape", "message"),
    [
        (layout.conv(9, 77, 5), (4, 3, 3), r"layer 'l' of the layout says weight \[77, 9, 5\], by `conv`; it is"),
        (layout.linear(4, 4), (4, 5), r"says weight \[4, 4\], by `linear`; it is \[4, 5\]: give the row"),
        (layout.embedding(9, 4), (7, 4), r"says weight \[9, 4\], by `embedding`; it is \[7, 4\]"),
    ],
    ids=["conv", "linear", "embedding"],
)
def test_a_row_with_other_sizes_is_an_error(row, shape, message):
    with pytest.raises(ValueError, match=message):
        to_flax({"l.weight": np.ones(shape), "l.bias": np.ones(shape[0])}, {"l": row})


def test_a_layer_without_a_bias_is_told_how_to_say_so():
    with pytest.raises(ValueError, match=r"needs 'bias' \(a layer without one: `bias=False`\); it has \['weight'\]"):
        to_flax({"l.weight": np.ones((4, 4))}, {"l": layout.linear(4, 4)})


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="`heads` must divide `width`"):
        layout.attention(8, 3)
