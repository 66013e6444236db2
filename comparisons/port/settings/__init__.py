"""Settings that change what a pair of layers computes, compared."""

from collections.abc import Callable
from typing import Any

import numpy as np

from comparisons.port.settings import convolutions, norms
from comparisons.port.settings.found import Found
from comparisons.port.walk import Spot, pair_name


def settings(torch: Spot, flax: Spot) -> list[tuple[bool, str]]:
    """What differs between two layers that a rule has joined."""
    compare = COMPARE.get(torch.kind or "", lambda torch, flax: iter(()))
    where = pair_name(torch, flax)
    return [(serious, f"{where}: {text}") for serious, text in compare(torch.module, flax.module)]


def _embedding(torch: Any, flax: Any) -> Found:
    if torch.padding_idx is not None:
        yield True, f"padding_idx={torch.padding_idx} has no gradient in torch; in Flax that row has one: mask it there"
    if getattr(flax, "dtype", None) is not None:
        yield False, f"Flax's table answers in {np.dtype(flax.dtype)} whatever it holds; the float64 check lifts that"
    for name in ("max_norm", "scale_grad_by_freq", "sparse"):
        if getattr(torch, name):
            yield True, f"{name} is set in torch: nnx.Embed has no such thing"


def flax_attention(flax: Any) -> Found:
    """What Flax's attention does and no torch module does."""
    name = getattr(flax.attention_fn, "__name__", "")
    if name == "dot_product_attention" and flax.attention_fn.__module__.startswith("flax.nnx"):
        yield True, "the default attention_fn takes its softmax in float32 (1e-7 in float64): pass an attention_fn"
    if getattr(flax, "normalize_qk", False):
        yield True, "normalize_qk is set in Flax: torch normalizes neither query nor key"


def _attention(torch: Any, flax: Any) -> Found:
    yield from flax_attention(flax)
    rates = torch.dropout, flax.dropout_rate or 0.0
    if torch.training and any(rates):
        both = "dropout is {:g} in torch, in training mode, and {:g} in Flax".format(*rates)
        yield rates[0] != rates[1], f"{both}: no two random streams are alike, use eval()"
    if not torch.batch_first:
        yield False, "batch_first is False in torch (tokens, batch, width); Flax takes (batch, tokens, width)"


def _recurrent(torch: Any, flax: Any) -> Found:
    if getattr(torch, "batch_first", None) is False:
        yield False, "batch_first is False in torch (steps, batch, inputs); nnx.RNN takes (batch, steps, inputs)"


COMPARE: dict[str, Callable[[Any, Any], Found]] = {
    "layer norm": norms.norm,
    "group norm": norms.group_norm,
    "rms norm": norms.norm,
    "batch norm": norms.batch_norm,
    "conv": convolutions.conv,
    "conv transpose": convolutions.conv_transpose,
    "embedding": _embedding,
    "attention": _attention,
    "lstm": _recurrent,
    "gru": _recurrent,
}
