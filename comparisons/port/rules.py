"""The table: a layer type of torch.nn and one of Flax's -> the layout's row that joins them, or why there is none."""

from collections.abc import Callable
from math import prod
from typing import Any

from comparisons import layout
from comparisons.layout import Layer
from comparisons.port.walk import Spot


class Refused(Exception):
    """These two layers cannot be joined; the text says why."""


def join(torch: Spot, flax: Spot) -> Layer | None:
    """The row that maps the one to the other; None where their types have nothing to do with each other."""
    rule = RULES.get((torch.kind, flax.kind))
    if rule is None:
        return None
    if any(name.startswith("parametrizations.") for name in torch.shapes):
        raise Refused("its weight is computed by a parametrization: remove it (torch.nn.utils.parametrize) before")
    layer = rule(torch, flax)._replace(flax=flax.path)
    return layer if _shapes(layer) == flax.shapes else None


def _shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    import numpy as np

    zeros = {leaf: np.zeros(shape) for leaf, shape in layer.shapes.items()}
    return {leaf: array.shape for leaf, array in layer.to_flax(zeros).items()}


def _parameter(torch: Spot, flax: Spot) -> Layer:
    return layout.parameter(*torch.shapes[""])


def _linear(torch: Spot, flax: Spot) -> Layer:
    m = torch.module
    return layout.linear(m.in_features, m.out_features, m.bias is not None)


def _general(torch: Spot, flax: Spot) -> Layer:
    m, kernel = torch.module, flax.shapes.get("kernel", ())
    for k in range(1, len(kernel)):
        if prod(kernel[:k]) == m.in_features and prod(kernel[k:]) == m.out_features:
            return layout.general(kernel[:k], kernel[k:], m.bias is not None)
    return layout.linear(m.in_features, m.out_features, m.bias is not None)


def _conv(torch: Spot, flax: Spot) -> Layer:
    outputs, inputs, *kernel = torch.shapes["weight"]
    return layout.conv(inputs, outputs, *kernel, bias="bias" in torch.shapes)


def _conv_transpose(torch: Spot, flax: Spot) -> Layer:
    m = torch.module
    if m.groups != 1:
        raise Refused(f"groups={m.groups}: Flax's ConvTranspose has no groups")
    inputs, outputs, *kernel = torch.shapes["weight"]
    swap = bool(getattr(flax.module, "transpose_kernel", False))
    return layout.conv_transpose(inputs, outputs, *kernel, bias="bias" in torch.shapes, transpose_kernel=swap)


def _embedding(torch: Spot, flax: Spot) -> Layer:
    return layout.embedding(*torch.shapes["weight"])


def _norm(torch: Spot, flax: Spot) -> Layer:
    sizes = list(torch.shapes.values())
    if any(len(shape) != 1 for shape in sizes):
        raise Refused(
            f"normalizes {len(sizes[0])} axes: only one axis, the last, has a counterpart that is proved here"
        )
    return layout.norm(sizes[0][0] if sizes else 0, "weight" in torch.shapes, "bias" in torch.shapes)


def _attention(torch: Spot, flax: Spot) -> Layer:
    m = torch.module
    if m.bias_k is not None or m.add_zero_attn:
        raise Refused("add_bias_kv and add_zero_attn have no counterpart in Flax")
    heads = flax.module.num_heads
    if heads != m.num_heads:
        raise Refused(f"num_heads is {m.num_heads} in torch and {heads} in Flax")
    split = not m._qkv_same_embed_dim
    return layout.attention(
        m.embed_dim, m.num_heads, m.in_proj_bias is not None, split=(m.kdim, m.vdim) if split else None
    )


def _recurrent(torch: Spot) -> tuple[Any, bool, str]:
    m = torch.module
    stacked = type(m).__name__ in ("LSTM", "GRU")
    if stacked and (m.num_layers > 1 or m.bidirectional or getattr(m, "proj_size", 0)):
        raise Refused("several layers, two directions or a projection: port each as a cell of its own")
    return m, bool(m.bias), "_l0" if stacked else ""


def _lstm(torch: Spot, flax: Spot) -> Layer:
    m, bias, suffix = _recurrent(torch)
    if "dense_i.kernel" in flax.shapes:
        return layout.lstm(m.input_size, m.hidden_size, bias, suffix)
    return layout.lstm_gates(m.input_size, m.hidden_size, bias, suffix, "if_" if "if_.kernel" in flax.shapes else "if")


def _gru(torch: Spot, flax: Spot) -> Layer:
    m, bias, suffix = _recurrent(torch)
    if "hn.bias" in flax.shapes:
        return layout.gru_gates(m.input_size, m.hidden_size, bias, suffix)
    if bias:
        hidden = getattr(m, f"bias_hh{suffix}").detach()[2 * m.hidden_size :]
        if hidden.abs().max() > 0:
            raise Refused("nnx.GRUCell has no b_hn, and this one's is not 0: set it to 0, or use linen's GRUCell")
    return layout.gru(m.input_size, m.hidden_size, bias, suffix)


RULES: dict[tuple[str | None, str | None], Callable[[Spot, Spot], Layer]] = {
    ("parameter", "parameter"): _parameter,
    ("linear", "linear"): _linear,
    ("linear", "general"): _general,
    ("conv", "conv"): _conv,
    ("conv transpose", "conv transpose"): _conv_transpose,
    ("embedding", "embedding"): _embedding,
    ("layer norm", "layer norm"): _norm,
    ("group norm", "group norm"): _norm,
    ("rms norm", "rms norm"): _norm,
    ("batch norm", "batch norm"): _norm,
    ("attention", "attention"): _attention,
    ("lstm", "lstm"): _lstm,
    ("gru", "gru"): _gru,
}
