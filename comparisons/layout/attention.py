"""Multi-head attention: PyTorch fuses query, key and value; Flax keeps three, with heads an axis."""

import numpy as np

from comparisons.layout.layer import Arrays, Layer, ruled
from comparisons.usage import BadInput

NAMES = ("query", "key", "value")
FUSED = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")


def attention(
    width: int,
    heads: int,
    bias: bool = True,
    leaves: tuple[str, str, str, str] = FUSED,
    split: tuple[int, int] | None = None,
) -> Layer:
    """`nn.MultiheadAttention`'s fused (3 width, width) is `nnx.MultiHeadAttention`'s three (width, heads, each).

    `split` gives the key's and the value's input widths where they are not the query's: PyTorch then keeps three
    weights and one fused bias. `leaves` names the fused weight and bias and the output's, for a fused projection of
    one's own.
    """
    if heads < 1 or width % heads:
        raise BadInput(f"`heads` must divide `width` (got {heads} and {width}): each head has width / heads")
    each = width // heads
    weight, bias_, out, out_bias = leaves
    inputs = (width, *(split or (width, width)))
    three = tuple(f"{name[0]}_proj_weight" for name in NAMES)

    def to_flax(own: Arrays) -> Arrays:
        weights = [own[name] for name in three] if split else np.split(own[weight], 3)
        mapped = {f"{n}.kernel": w.T.reshape(-1, heads, each) for n, w in zip(NAMES, weights, strict=True)}
        mapped["out.kernel"] = own[out].T.reshape(heads, each, width)
        if bias:
            biases = own[bias_].reshape(3, heads, each)
            mapped |= {f"{n}.bias": b for n, b in zip(NAMES, biases, strict=True)} | {"out.bias": own[out_bias]}
        return mapped

    def adjoint(own: Arrays) -> Arrays:
        weights = [own[f"{n}.kernel"].reshape(-1, width).T for n in NAMES]
        mapped = dict(zip(three, weights, strict=True)) if split else {weight: np.concatenate(weights)}
        mapped[out] = own["out.kernel"].reshape(width, width).T
        if bias:
            mapped[bias_] = np.concatenate([own[f"{n}.bias"].reshape(width) for n in NAMES])
            mapped[out_bias] = own["out.bias"]
        return mapped

    shapes: dict[str, tuple[int, ...]] = {weight: (3 * width, width)}
    if split:
        shapes = {name: (width, size) for name, size in zip(three, inputs, strict=True)}
    shapes |= {bias_: (3 * width,)} if bias else {}
    shapes |= {out: (width, width)}
    shapes |= {out_bias: (width,)} if bias else {}
    return ruled(attention, shapes, to_flax, adjoint)


def attention_joined(width: int, qkv: str, out: str, bias: bool = True) -> Layer:
    """`nn.MultiheadAttention`'s fused (3 width, width) is one `nnx.Linear` (width, 3 width), and `out` another."""
    pairs = {"in_proj_weight": f"{qkv}.kernel", "out_proj.weight": f"{out}.kernel"}
    pairs |= {"in_proj_bias": f"{qkv}.bias", "out_proj.bias": f"{out}.bias"} if bias else {}
    shapes: dict[str, tuple[int, ...]] = {"in_proj_weight": (3 * width, width), "out_proj.weight": (width, width)}
    shapes |= {"in_proj_bias": (3 * width,), "out_proj.bias": (width,)} if bias else {}
    return ruled(
        attention_joined,
        shapes,
        lambda own: {there: own[here].T for here, there in pairs.items()},
        lambda own: {here: own[there].T for here, there in pairs.items()},
    )
