"""Convolutions and transposed ones: strides, dilation, groups, and what each side pads."""

from typing import Any

from comparisons.port.settings.found import Found


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (1 if value is None else value,) * rank


def conv(torch: Any, flax: Any) -> Found:
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
        why = ", which with a stride pads unevenly, by the size of the image" if flax.padding == "SAME" else ""
        yield True, f"padding is {torch.padding} in torch and {flax.padding!r} in Flax{why}: pass padding={list(here)}"
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


def conv_transpose(torch: Any, flax: Any) -> Found:
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
