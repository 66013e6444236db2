"""Settings that change what a pair of layers computes, compared; and what types alone cannot tell.

Each function yields `(serious, text)`: a serious difference changes the function, the rest is worth knowing.
"""

from collections.abc import Callable, Iterator
from math import isclose
from typing import Any

import numpy as np

from comparisons.port.walk import Spot

Found = Iterator[tuple[bool, str]]


def settings(torch: Spot, flax: Spot) -> list[tuple[bool, str]]:
    """What differs between two layers that a rule has joined."""
    where = torch.path if torch.path == flax.path else f"{torch.path} -> {flax.path}"
    compare = COMPARE.get(torch.kind or "", lambda torch, flax: iter(()))
    return [(serious, f"{where or 'the module'}: {text}") for serious, text in compare(torch.module, flax.module)]


def _number(name: str, torch: float, flax: float, remedy: str) -> Found:
    if not isclose(torch, flax, rel_tol=1e-9, abs_tol=0):
        yield True, f"{name} is {torch:g} in torch and {flax:g} in Flax: {remedy}"


def _norm(torch: Any, flax: Any) -> Found:
    eps = torch.eps
    if eps is None:
        yield (
            True,
            f"eps is None in torch, the precision's own eps, and {flax.epsilon:g} in Flax: name it on both sides",
        )
    else:
        yield from _number("epsilon", eps, flax.epsilon, f"pass epsilon={eps:g} to Flax")
    if getattr(flax, "use_fast_variance", False) and not type(torch).__name__.startswith("RMS"):
        yield (
            False,
            "Flax's fast variance E[x^2] - E[x]^2 loses digits where |mean| >> deviation: use_fast_variance=False",
        )


def _group_norm(torch: Any, flax: Any) -> Found:
    yield from _norm(torch, flax)
    if flax.num_groups != torch.num_groups:
        yield True, f"num_groups is {torch.num_groups} in torch and {flax.num_groups} in Flax"


def _batch_norm(torch: Any, flax: Any) -> Found:
    yield from _norm(torch, flax)
    if torch.momentum is None:
        yield True, "momentum is None in torch, a cumulative mean: Flax has only the exponential one"
    else:
        yield from _number(
            "the statistics' decay (1 - momentum)",
            1 - torch.momentum,
            flax.momentum,
            f"Flax's momentum is what is kept: pass momentum={1 - torch.momentum:g}",
        )
    yield False, "a training step puts the unbiased batch variance into torch's running_var, the biased one into Flax's"
    running = flax.use_running_average
    if running is not None and running == torch.training:
        mode = ("training", "evaluation") if torch.training else ("evaluation", "training")
        yield True, f"torch is in {mode[0]} mode and Flax in {mode[1]} mode: use_running_average is {running}"


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (1 if value is None else value,) * rank


def _conv(torch: Any, flax: Any) -> Found:
    rank = len(torch.kernel_size)
    for name, here, there in (
        ("stride", torch.stride, flax.strides),
        ("dilation", torch.dilation, flax.kernel_dilation),
        ("groups", (torch.groups,), (flax.feature_group_count,)),
    ):
        if tuple(here) != _tuple(there, len(here)):
            yield True, f"{name} is {tuple(here)} in torch and {_tuple(there, len(here))} in Flax"
    if torch.padding_mode != "zeros":
        circular = torch.padding_mode == "circular" and flax.padding == "CIRCULAR"
        if not circular or torch.padding != "same":
            yield True, f"padding_mode is {torch.padding_mode!r} in torch: prove this pair by its gradients"
        return
    here, there = _torch_padding(torch), _flax_padding(flax, rank)
    if there is None:
        yield (
            True,
            f"padding is {torch.padding} in torch and {flax.padding!r} in Flax, which with a stride pads unevenly, by "
            f"the size of the image: pass padding={list(here)}",
        )
    elif here != there:
        yield True, f"padding is {here} in torch and {there} in Flax ({flax.padding!r}): pass padding={list(here)}"


def _torch_padding(torch: Any) -> tuple[tuple[int, int], ...]:
    spans = [d * (k - 1) for k, d in zip(torch.kernel_size, torch.dilation, strict=True)]
    if torch.padding == "same":
        return tuple((span // 2, span - span // 2) for span in spans)
    return tuple((p, p) for p in (torch.padding if torch.padding != "valid" else (0,) * len(spans)))


def _flax_padding(flax: Any, rank: int) -> tuple[tuple[int, int], ...] | None:
    strides, dilation = _tuple(flax.strides, rank), _tuple(flax.kernel_dilation, rank)
    kernel = _tuple(flax.kernel_size, rank)
    if isinstance(flax.padding, str):
        if flax.padding == "VALID":
            return ((0, 0),) * rank
        if flax.padding != "SAME" or any(s != 1 for s in strides):
            return None
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((span // 2, span - span // 2) for span in spans)
    return _pairs(flax.padding, rank)


def _pairs(padding: Any, rank: int) -> tuple[tuple[int, int], ...]:
    each = (padding,) * rank if isinstance(padding, int) else tuple(padding)
    return tuple((p, p) if isinstance(p, int) else tuple(p) for p in each)


def _conv_transpose(torch: Any, flax: Any) -> Found:
    rank = len(torch.kernel_size)
    strides, dilation = _tuple(flax.strides, rank), _tuple(flax.kernel_dilation, rank)
    if tuple(torch.stride) != strides:
        yield True, f"stride is {tuple(torch.stride)} in torch and {strides} in Flax"
    if tuple(torch.dilation) != dilation:
        yield True, f"dilation is {tuple(torch.dilation)} in torch and {dilation} in Flax"
    spans = [d * (k - 1) for k, d in zip(torch.kernel_size, torch.dilation, strict=True)]
    here = tuple(
        (span - p, span - p + extra) for span, p, extra in zip(spans, torch.padding, torch.output_padding, strict=True)
    )
    if isinstance(flax.padding, str):
        if flax.padding not in ("SAME", "VALID"):
            yield True, f"padding is {flax.padding!r} in Flax: pass padding={list(here)}"
            return
        there = tuple(_transposed(span + 1, s, flax.padding) for span, s in zip(spans, strides, strict=True))
    else:
        there = _pairs(flax.padding, rank)
    if here != there:
        yield (
            True,
            (
                f"padding {tuple(torch.padding)} and output_padding {tuple(torch.output_padding)} of torch are "
                f"{list(here)} around Flax's dilated input, which pads {list(there)}: pass padding={list(here)}"
            ),
        )


def _transposed(kernel: int, stride: int, padding: str) -> tuple[int, int]:
    """What `jax.lax.conv_transpose` pads for a name."""
    if padding == "SAME":
        total = kernel + stride - 2
        low = kernel - 1 if stride > kernel - 1 else -(-total // 2)
    else:
        total, low = kernel + stride - 2 + max(kernel - stride, 0), kernel - 1
    return low, total - low


def _embedding(torch: Any, flax: Any) -> Found:
    if torch.padding_idx is not None:
        yield True, f"padding_idx={torch.padding_idx} has no gradient in torch; in Flax that row has one: mask it there"
    if getattr(flax, "dtype", None) is not None:
        yield False, f"Flax's table answers in {np.dtype(flax.dtype)} whatever it holds; the float64 check lifts that"
    for name in ("max_norm", "scale_grad_by_freq", "sparse"):
        if getattr(torch, name):
            yield True, f"{name} is set in torch: nnx.Embed has no such thing"


def _attention(torch: Any, flax: Any) -> Found:
    name = getattr(flax.attention_fn, "__name__", "")
    if name == "dot_product_attention" and flax.attention_fn.__module__.startswith("flax.nnx"):
        yield True, "the default attention_fn takes its softmax in float32 (1e-7 in float64): pass an attention_fn"
    if torch.training and torch.dropout != (flax.dropout_rate or 0.0):
        yield True, f"dropout is {torch.dropout:g} in torch and {flax.dropout_rate:g} in Flax"
    if getattr(flax, "normalize_qk", False):
        yield True, "normalize_qk is set in Flax: torch normalizes neither query nor key"
    if not torch.batch_first:
        yield False, "batch_first is False in torch (tokens, batch, width); Flax takes (batch, tokens, width)"


def _recurrent(torch: Any, flax: Any) -> Found:
    if getattr(torch, "batch_first", None) is False:
        yield False, "batch_first is False in torch (steps, batch, inputs); nnx.RNN takes (batch, steps, inputs)"


COMPARE: dict[str, Callable[[Any, Any], Found]] = {
    "layer norm": _norm,
    "group norm": _group_norm,
    "rms norm": _norm,
    "batch norm": _batch_norm,
    "conv": _conv,
    "conv transpose": _conv_transpose,
    "embedding": _embedding,
    "attention": _attention,
    "lstm": _recurrent,
    "gru": _recurrent,
}


def between_layers(torch_module: Any, flax_module: Any) -> list[tuple[bool, str]]:
    """What stands between the layers: activations, flattening, dropout."""
    import functools

    found: list[tuple[bool, str]] = []
    images = False
    forms = _gelu_forms(flax_module, functools.partial)
    for name, module in torch_module.named_modules():
        kind = type(module).__name__
        images = images or kind.startswith("Conv")
        if kind == "GELU":
            here = module.approximate
            if forms and {here} != forms:
                found.append((True, f"{name}: GELU is {here!r} in torch and {'/'.join(sorted(forms))!r} in Flax"))
            elif not forms:
                found.append(
                    (
                        False,
                        f"{name}: GELU is {here!r} in torch; jax.nn.gelu's default is 'tanh', not 'none'",
                    )
                )
        elif kind == "Flatten" and images:
            found.append(
                (
                    False,
                    f"{name}: flattens (channels, height, width); Flax's images are (height, width, channels), "
                    "so that the order of what follows cannot be known from types: transpose before it, or pool",
                )
            )
        elif kind.startswith("Dropout") and module.training and module.p:
            found.append(
                (False, f"{name}: dropout {module.p:g} is on in torch; no two random streams are alike: use eval()")
            )
    return found


def _gelu_forms(module: Any, partial: Any) -> set[str]:
    """The forms of jax.nn.gelu that the Flax module holds as attributes, bare or in a `partial`."""
    import jax

    forms, seen, todo = set(), set(), [module]
    while todo:
        one: Any = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        function, options = (one.func, one.keywords) if isinstance(one, partial) else (one, {})
        if function is jax.nn.gelu:
            forms.add("tanh" if options.get("approximate", True) else "none")
        elif isinstance(one, (list, tuple)):
            todo += one
        elif type(one).__module__.startswith("flax.nnx.helpers") or hasattr(one, "_pytree__nodes"):
            todo += list(one) if hasattr(one, "__len__") and hasattr(one, "__iter__") else list(vars(one).values())
        elif type(one).__mro__[-2].__module__.startswith("flax.linen") or hasattr(one, "__dataclass_fields__"):
            todo += [value for name, value in vars(one).items() if not name.startswith("_")]
    return forms
