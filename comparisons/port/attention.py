"""Attention as one layer on one side, and as projections of one's own on the other."""

from comparisons.layout import Layer, attention, attention_joined, general
from comparisons.port.ported import Ported
from comparisons.port.settings import flax_attention
from comparisons.port.walk import Spot, alike


def grouped(rest: list[Spot], left: list[Spot], ported: Ported) -> tuple[list[Spot], list[Spot]]:
    """Attention as one layer on one side, and as its projections (fused, or three and an output) on the other."""
    for whole, parts, in_torch in [(f, rest, False) for f in left] + [(t, left, True) for t in rest]:
        if whole.kind != "attention":
            continue
        own = [p for p in parts if p.kind == "linear" and alike(p.path).startswith(f"{alike(whole.path)}.".lstrip("."))]
        layer = _torch_attention(whole, own) if in_torch else _flax_attention(whole, own)
        if layer:
            ported.layout.layers.update(layer)
            ported.notes.append(_guess(whole, own))
            if not in_torch:
                where = whole.path or "the module"
                ported.differing += [f"{where}: {text}" for _, text in flax_attention(whole.module)]
            rest = [spot for spot in rest if spot is not whole and spot not in own]
            left = [spot for spot in left if spot is not whole and spot not in own]
    return rest, left


def _flax_attention(whole: Spot, own: list[Spot]) -> dict[str, Layer]:
    inputs, heads, each = whole.shapes["query.kernel"]
    width, bias = heads * each, "query.bias" in whole.shapes
    sizes = [spot.shapes["weight"] for spot in own]
    if sizes == [(3 * width, inputs), (inputs, width)] and inputs == width:
        below = [spot.path.removeprefix(whole.path).strip(".") for spot in own]
        leaves = tuple(f"{name}.{leaf}" for name in below for leaf in ("weight", "bias"))
        return {whole.path: attention(width, heads, bias, leaves)._replace(flax=whole.path)}  # type: ignore[arg-type]
    if len(own) == 4 and sizes[3][1] == width and all(size[0] == width for size in sizes[:3]):
        names, split = ("query", "key", "value"), {}
        for name, spot in zip(names, own, strict=False):
            split[spot.path] = general((spot.shapes["weight"][1],), (heads, each), bias)._replace(flax=whole.leaf(name))
        out = general((heads, each), (sizes[3][0],), bias)
        return split | {own[3].path: out._replace(flax=whole.leaf("out"))}
    return {}


def _torch_attention(whole: Spot, own: list[Spot]) -> dict[str, Layer]:
    width, bias = whole.module.embed_dim, "in_proj_bias" in whole.shapes
    if [spot.shapes["kernel"] for spot in own] == [(width, 3 * width), (width, width)]:
        qkv, out = (spot.path.removeprefix(whole.path).strip(".") for spot in own)
        return {whole.path: attention_joined(width, qkv, out, bias)._replace(flax=whole.path)}
    return {}


def _guess(whole: Spot, own: list[Spot]) -> str:
    """What shapes cannot tell; the functions' values can."""
    if len(own) == 2:
        return f"{own[0].path} is read as query, key and value, in this order, each a third of it: not head by head"
    names = ", ".join(spot.path for spot in own[:3])
    return f"{names} are read as query, key and value, in this order, of {whole.path or 'the module'}"
