"""`port`: every layer type maps, with its gradient, to nnx and to linen; what does not map is named."""

from collections import OrderedDict
from functools import partial

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from kit_layers import BATCH, Linen, Nnx, Torch, attend, flax_losses, nnx_outputs, torch_losses
from torch import nn

from comparisons.layout import from_flax, to_flax
from comparisons.port import PortError, port
from comparisons.testing import GradientMismatch, assert_losses_match


@pytest.mark.xdist_group("kit_port_nnx")
def test_every_layer_type_maps_to_nnx():
    torch_module, module = Torch(), Nnx(nnx.Rngs(0))
    with torch.no_grad():
        torch_module.gru.bias_hh_l0[8:] = 0  # nnx.GRUCell has no b_hn
    ported = port(torch_module, module)
    assert len(ported.layout) == 21
    assert jnp.array_equal(module.frozen_norm.var.get_value(), torch_module.frozen_norm.running_var.numpy())
    found = assert_losses_match(
        torch_losses, lambda m, b: flax_losses(nnx_outputs(m, b)), ported, batch=BATCH, float32=False
    )
    assert len(found.gradients.pairs) == 47


@pytest.mark.xdist_group("kit_port_linen")
def test_every_layer_type_maps_to_linen():
    module = Linen()
    ported = port(Torch(), module, BATCH)
    assert len(ported.layout) == 21
    assert ported.variables["batch_stats"]["BatchNorm_1"]["mean"].any()

    def losses(variables, batch):
        return flax_losses(module.apply(variables, batch, mutable=["batch_stats"])[0])

    assert_losses_match(torch_losses, losses, ported, batch=BATCH, float32=False)


R = nnx.Rngs(0)


def dict_of(layers):
    """A module with these layers as its attributes."""
    if isinstance(next(iter(layers.values())), nnx.Module):
        made = nnx.Module()
        for name, layer in layers.items():
            setattr(made, name, layer)
        return made
    return nn.ModuleDict(layers)


WRONG = {
    "epsilon": (nn.LayerNorm(4), nnx.LayerNorm(4, rngs=R), "epsilon is 1e-05 in torch and 1e-06 in Flax"),
    "decay": (nn.BatchNorm1d(4), nnx.BatchNorm(4, rngs=R), r"decay \(1 - momentum\) is 0.9 in torch and 0.99 in Flax"),
    "mode": (
        nn.BatchNorm1d(4),
        nnx.BatchNorm(4, momentum=0.9, use_running_average=True, rngs=R),
        "torch is in training mode and Flax in evaluation mode",
    ),
    "groups": (
        nn.GroupNorm(4, 8),
        nnx.GroupNorm(8, num_groups=2, epsilon=1e-5, rngs=R),
        "num_groups is 4 in torch and 2",
    ),
    "rms": (nn.RMSNorm(4), nnx.RMSNorm(4, rngs=R), "eps is None in torch"),
    "padding": (
        nn.Conv2d(3, 4, 3),
        nnx.Conv(3, 4, (3, 3), rngs=R),
        r"padding is \(\(0, 0\), \(0, 0\)\) in torch and \(\(1, 1\)",
    ),
    "strided": (
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nnx.Conv(3, 4, (3, 3), strides=2, rngs=R),
        "with a stride pads unevenly",
    ),
    "stride": (nn.Conv2d(3, 4, 3, stride=2), nnx.Conv(3, 4, (3, 3), padding="VALID", rngs=R), r"stride is \(2, 2\)"),
    "up": (
        nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1),
        nnx.ConvTranspose(3, 4, (3, 3), strides=(2, 2), rngs=R),
        r"pads \[\(2, 1\), \(2, 1\)\]: pass padding=\[\(1, 1\), \(1, 1\)\]",
    ),
    "padding_idx": (
        nn.Embedding(5, 3, padding_idx=0),
        nnx.Embed(5, 3, rngs=R),
        "padding_idx=0 has no gradient in torch",
    ),
    "softmax": (
        nn.MultiheadAttention(8, 2, batch_first=True),
        nnx.MultiHeadAttention(2, 8, decode=False, rngs=R),
        "softmax in float32",
    ),
    "heads": (
        nn.MultiheadAttention(8, 4, batch_first=True),
        nnx.MultiHeadAttention(2, 8, decode=False, rngs=R),
        "num_heads is 4 in torch and 2 in Flax",
    ),
    "b_hn": (nn.GRU(3, 4), nnx.GRUCell(3, 4, rngs=R), "nnx.GRUCell has no b_hn"),
    "two layers": (nn.LSTM(3, 4, num_layers=2), nnx.OptimizedLSTMCell(3, 4, rngs=R), "port each as a cell of its own"),
    "grouped up": (nn.ConvTranspose2d(4, 4, 3, groups=2), nnx.ConvTranspose(4, 4, (3, 3), rngs=R), "has no groups"),
    "no rule": (nn.RNN(3, 4), nnx.SimpleCell(3, 4, rngs=R), r"torch's RNN \(weight_ih_l0 \[4, 3\], .* nothing in Flax"),
    "no rule in either": (
        nn.InstanceNorm2d(4, affine=True),
        nnx.InstanceNorm(4, rngs=R),
        r"Flax's InstanceNorm \(scale \[4\], bias \[4\]\) matches nothing in torch",
    ),
    "parametrized": (
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
        nnx.Linear(3, 3, rngs=R),
        "computed by a parametrization: remove it",
    ),
    "causal": (
        nn.Conv1d(3, 4, 3, padding=1),
        nnx.Conv(3, 4, (3,), padding="CAUSAL", rngs=R),
        r"padding is \(1,\) in torch and 'CAUSAL' in Flax: pass padding=\[\(1, 1\)\]",
    ),
    "attention's dropout": (
        nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True),
        nnx.MultiHeadAttention(2, 8, attention_fn=attend, decode=False, rngs=R),
        "dropout is 0.1 in torch, in training mode, and 0 in Flax: no two random streams are alike, use eval",
    ),
    "size": (
        nn.Linear(3, 4),
        nnx.Linear(4, 3, rngs=R),
        r"torch's Linear \(weight \[4, 3\], .* matches nothing in Flax",
    ),
    "several axes": (
        nn.LayerNorm((3, 4)),
        nnx.LayerNorm(4, reduction_axes=(-2, -1), feature_axes=(-1,), epsilon=1e-5, rngs=R),
        "normalizes 2 axes",
    ),
    "softmax beside own projections": (
        nn.ModuleDict({"qkv": nn.Linear(8, 24), "proj": nn.Linear(8, 8)}),
        nnx.MultiHeadAttention(2, 8, decode=False, rngs=R),
        "softmax in float32",
    ),
    "extra": (
        dict_of({"fc": nn.Linear(3, 3)}),
        dict_of({"fc": nnx.Linear(3, 3, rngs=R), "head": nnx.Linear(3, 2, rngs=R)}),
        r"Flax's head \(Linear .* matches nothing in torch",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_differs_is_named(case):
    torch_module, flax_module, message = WRONG[case]
    with pytest.raises(PortError, match=message):
        port(torch_module, flax_module)
    assert port(torch_module, flax_module, strict=False).wrong


def test_what_types_cannot_tell_is_a_note():
    torch_module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 2))
    flax_module = dict_of(
        {
            "conv": nnx.Conv(3, 2, (3, 3), padding="VALID", rngs=R),
            "out": nnx.Linear(8, 2, rngs=R),
            "drop": nnx.Dropout(0.25, rngs=R),
        },
    )
    notes = "\n".join(port(torch_module, flax_module).notes)
    for word in (
        "GELU is 'none' in torch",
        "flattens (channels",
        "dropout 0.5 is on in torch",
        "drop: dropout 0.25 is on in Flax",
        "0 was joined with conv",
    ):
        assert word in notes


def test_a_gelu_held_by_the_flax_module_is_compared():
    class Block(nnx.Module):
        def __init__(self):
            self.fc = nnx.Linear(3, 3, rngs=R)
            self.act = jax.nn.gelu

    with pytest.raises(PortError, match="act: GELU is 'none' in torch and 'tanh' in Flax"):
        port(dict_of({"fc": nn.Linear(3, 3), "act": nn.GELU()}), Block())


def test_weights_are_copied_and_inputs_untouched():
    torch_module, flax_module = nn.Linear(3, 4), nnx.Linear(3, 4, rngs=R)
    before = torch_module.weight.clone()
    port(torch_module, flax_module)
    assert jnp.array_equal(flax_module.kernel.get_value(), torch_module.weight.detach().numpy().T)
    assert torch.equal(before, torch_module.weight)


class TiedTorch(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


def test_tied_weights_add_their_copies_gradients():
    flax_module = dict_of({"embed": nnx.Embed(5, 3, rngs=R), "head": nnx.Linear(3, 5, use_bias=False, rngs=R)})
    ported = port(TiedTorch(), flax_module)
    assert list(ported.params) == ["embed.weight"]
    assert "head.weight is tied to embed.weight" in "\n".join(ported.notes)
    grads = {"embed.embedding": ported.params["embed.weight"], "head.kernel": ported.params["embed.weight"].T}
    assert (from_flax(grads, ported.layout)["embed.weight"] == 2 * ported.params["embed.weight"]).all()
    assert sorted(to_flax(ported.params, ported.layout)) == ["embed.embedding", "head.kernel"]


def test_a_head_tied_by_attend_needs_no_layer_in_flax():
    ported = port(TiedTorch(), dict_of({"embed": nnx.Embed(5, 3, rngs=R)}))
    assert not ported.wrong
    assert list(ported.layout) == ["embed"]


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)


class Split(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))


@pytest.mark.parametrize("own", [Fused, Split])
def test_attention_of_ones_own_maps_by_its_shapes(own):
    flax_module = nnx.MultiHeadAttention(2, 8, attention_fn=attend, decode=False, rngs=R)
    ported = port(own(), flax_module)
    query = ported.params["qkv.weight"][:8] if own is Fused else ported.params["q.weight"]
    assert (to_flax(ported.params, ported.layout)["query.kernel"].reshape(8, 8) == query.T).all()
    back = from_flax(to_flax(ported.params, ported.layout), ported.layout)
    assert all((back[name] == value).all() for name, value in ported.params.items())


def test_torchs_attention_maps_to_one_joined_projection():
    flax_module = dict_of({"qkv": nnx.Linear(8, 24, rngs=R), "out": nnx.Linear(8, 8, rngs=R)})
    ported = port(nn.MultiheadAttention(8, 2, batch_first=True), flax_module)
    assert (to_flax(ported.params, ported.layout)["qkv.kernel"] == ported.params["in_proj_weight"].T).all()


# (kernel, torch's stride, padding, output_padding, dilation; Flax's padding)
UP = [
    ((3,), 2, 1, 1, 1, ((1, 2),)),
    ((4,), 1, 0, 0, 2, ((6, 6),)),
    ((2,), 3, 0, 0, 1, "VALID"),
    ((5,), 2, 2, 1, 1, "SAME"),
    ((2,), 3, 0, 1, 1, "SAME"),
    ((3, 4), 2, 1, 0, 1, ((1, 1), (2, 2))),
    ((2, 3, 2), 2, 0, 0, 1, "VALID"),
    ((3,), 2, 1, 0, 1, "SAME"),
    ((3,), 2, 0, 0, 1, 1),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "extra", "dilation", "there"), UP)
def test_a_transposed_convolution_is_accepted_where_its_outputs_agree_and_refused_where_not(
    kernel, stride, padding, extra, dilation, there
):
    rank = len(kernel)
    here = getattr(nn, f"ConvTranspose{rank}d")(2, 3, kernel, stride, padding, extra, dilation=dilation)
    flax_module = nnx.ConvTranspose(
        2, 3, kernel, strides=(stride,) * rank, padding=there, kernel_dilation=(dilation,) * rank, rngs=R
    )
    ported = port(here, flax_module, strict=False)
    assert not ported.unmatched
    assert not ported.refused
    x = torch.rand(1, 2, *range(4, 4 + rank))
    y = here(x).detach().movedim(1, -1).numpy()
    z = flax_module(x.movedim(1, -1).numpy())
    same = y.shape == z.shape and jnp.allclose(y, z, atol=1e-5)
    assert same == (not ported.differing), ported


def tied_losses(m, b):
    return {"next": torch.tanh(m.embed(b["words"]) @ m.head.weight.T).sum()}


WORDS = {"words": BATCH["words"] % 5}
TIED = {
    "copies": (
        lambda: dict_of({"embed": nnx.Embed(5, 3, rngs=R), "head": nnx.Linear(3, 5, use_bias=False, rngs=R)}),
        lambda m, b: {"next": jnp.tanh(m.head(m.embed(b["words"]))).sum()},
    ),
    "attend": (
        lambda: dict_of({"embed": nnx.Embed(5, 3, rngs=R)}),
        lambda m, b: {"next": jnp.tanh(m.embed.attend(m.embed(b["words"]))).sum()},
    ),
}


@pytest.mark.parametrize("case", TIED)
def test_tied_weights_are_proved_by_their_gradient(case):
    make, losses = TIED[case]
    assert_losses_match(tied_losses, losses, port(TiedTorch(), make()), batch=WORDS, float32=False)


def test_weights_that_only_flax_ties_are_refused_by_name():
    torch_module = nn.ModuleDict({"a": nn.Linear(3, 3, bias=False), "b": nn.Linear(3, 3, bias=False)})
    shared = nnx.Linear(3, 3, use_bias=False, rngs=R)
    with pytest.raises(PortError, match=r"Flax ties \['b.kernel'\] to another parameter; torch keeps them apart"):
        port(torch_module, dict_of({"a": shared, "b": shared}))


TOKENS = {"tokens": BATCH["tokens"]}


def own_attention(m, b):
    """The thirds of a fused projection, or three of one's own, are query, key and value; heads split each."""
    x = b["tokens"]
    parts = m.qkv(x).chunk(3, -1) if hasattr(m, "qkv") else (m.q(x), m.k(x), m.v(x))
    q, k, v = (y.unflatten(-1, (2, 4)).transpose(1, 2) for y in parts)
    y = ((q @ k.mT / 2).softmax(-1) @ v).transpose(1, 2).flatten(2)
    return {"all": torch.tanh(m.proj(y) if hasattr(m, "proj") else m.o(y)).sum()}


def interleaved(m, b):
    """Each head's query, key and value side by side, as GPT-NeoX has them."""
    q, k, v = m.qkv(b["tokens"]).unflatten(-1, (2, 3, 4)).transpose(1, 2).unbind(3)
    y = ((q @ k.mT / 2).softmax(-1) @ v).transpose(1, 2).flatten(2)
    return {"all": torch.tanh(m.proj(y)).sum()}


def flax_attention(m, b):
    return {"all": jnp.tanh(m(b["tokens"])).sum()}


@pytest.mark.parametrize("own", [Fused, Split, partial(nn.MultiheadAttention, 8, 2, batch_first=True)])
def test_linens_attention_is_one_layer_with_nothing_around_it(own):
    """Its default softmax keeps float64, so it needs no attention_fn."""
    module = linen.MultiHeadDotProductAttention(2)

    def losses(variables, b):
        return {"all": jnp.tanh(module.apply(variables, b["tokens"])).sum()}

    def whole(m, b):
        return {"all": torch.tanh(m(*[b["tokens"]] * 3)[0]).sum()}

    here = own_attention if own in (Fused, Split) else whole
    assert_losses_match(here, losses, port(own(), module, TOKENS["tokens"]), batch=TOKENS, float32=False)


def test_a_layout_beside_a_port_is_refused():
    ported = port(nn.Linear(2, 2), nnx.Linear(2, 2, rngs=R))
    with pytest.raises(ValueError, match="`layout` comes with what `port` returned"):
        assert_losses_match(own_attention, flax_attention, ported, layout={})


@pytest.mark.parametrize("own", [Fused, Split])
def test_attention_of_ones_own_is_proved_by_its_gradient(own):
    ported = port(own(), nnx.MultiHeadAttention(2, 8, attention_fn=attend, decode=False, rngs=R))
    assert "read as query, key and value, in this order" in ported.notes[0]
    assert_losses_match(own_attention, flax_attention, ported, batch=TOKENS, float32=False)


def test_an_interleaved_projection_is_found_and_the_guess_is_named():
    ported = port(Fused(), nnx.MultiHeadAttention(2, 8, attention_fn=attend, decode=False, rngs=R))
    with pytest.raises(GradientMismatch, match=r"what `port` noted:\n  qkv is read as") as error:
        assert_losses_match(interleaved, flax_attention, ported, batch=TOKENS, float32=False)
    assert "the two compute different functions" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nnx.Linear(2, 2, rngs=R), nn.Linear(2, 2)), "pass the torch.nn.Module first"),
        ((nn.Linear(2, 2), Linen()), "pass example inputs"),
        ((nn.Linear(2, 2), nnx.Module()), "no layer was found"),
        ((nn.Linear(2, 2), None), "`flax_module` is a NoneType: pass an nnx.Module, or a linen.Module and inputs"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        port(*arguments)


class _Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.l, self.o = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x):
        return self.o(self.l(x)[0][:, -1])


class _NnxRecurrent(nnx.Module):
    def __init__(self, rngs):
        self.l, self.o = nnx.RNN(nnx.OptimizedLSTMCell(4, 8, rngs=rngs)), nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        return self.o(self.l(x)[:, -1])


def squares(module, batch):
    return {"a": (module(batch["x"]) ** 2).mean()}


def test_a_recurrent_layer_begins_in_the_precision_of_the_run():
    ported = port(_Recurrent(), _NnxRecurrent(nnx.Rngs(0)))
    found = assert_losses_match(squares, squares, ported, batch={"x": np.ones((3, 5, 4))}, order=2)
    assert len(found.gradients.pairs) == 6


class _Dropped(nnx.Module):
    def __init__(self, rngs):
        self.a, self.d = nnx.Linear(4, 8, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.d(self.a(x))


@pytest.mark.parametrize(("on", "off"), [("torch", "jax"), ("jax", "torch")])
def test_the_side_whose_dropout_was_left_on_is_named(on, off):
    sides = {"torch": nn.Sequential(OrderedDict(a=nn.Linear(4, 8), d=nn.Dropout(0.5))), "jax": _Dropped(nnx.Rngs(0))}
    sides[off].eval()
    with pytest.raises(GradientMismatch, match=f"-> {on}'s 'a' changes from one call to the next"):
        assert_losses_match(squares, squares, port(sides["torch"], sides["jax"]), batch={"x": np.ones((5, 4))})


def test_a_module_of_half_precision_is_ported():
    ported = port(nn.Linear(2, 3).bfloat16(), nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    assert {array.dtype for array in ported.params.values()} == {np.dtype(float)}
