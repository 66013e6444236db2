"""Multi-head attention: PyTorch fuses query, key and value; Flax keeps three, with heads an axis."""

import numpy as np

from comparisons.layout.layer import Arrays, Layer, ruled

NAMES = ("query", "key", "value")
FUSED = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")


def attention(width: int, heads: int, bias: bool = True, leaves: tuple[str, str, str, str] = FUSED) -> Layer:
    """`nn.MultiheadAttention`'s fused (3 width, width) is `nnx.MultiHeadAttention`'s three (width, heads, each).

    `leaves` names the fused weight and bias and the output's, for a module of one's own with a fused projection.
    """
    each = width // heads
    weight, bias_, out, out_bias = leaves

    def to_flax(own: Arrays) -> Arrays:
        kernels = own[weight].reshape(3, heads, each, width).transpose(0, 3, 1, 2)
        split = {f"{n}.kernel": k for n, k in zip(NAMES, kernels, strict=True)}
        split["out.kernel"] = own[out].T.reshape(heads, each, width)
        if bias:
            biases = own[bias_].reshape(3, heads, each)
            split |= {f"{n}.bias": b for n, b in zip(NAMES, biases, strict=True)} | {"out.bias": own[out_bias]}
        return split

    def adjoint(own: Arrays) -> Arrays:
        kernels = np.stack([own[f"{n}.kernel"] for n in NAMES])
        fused = {
            weight: kernels.transpose(0, 2, 3, 1).reshape(3 * width, width),
            out: own["out.kernel"].reshape(width, width).T,
        }
        if bias:
            fused[bias_] = np.concatenate([own[f"{n}.bias"].reshape(width) for n in NAMES])
            fused[out_bias] = own["out.bias"]
        return fused

    shapes: dict[str, tuple[int, ...]] = {weight: (3 * width, width)}
    shapes |= {bias_: (3 * width,)} if bias else {}
    shapes |= {out: (width, width)}
    shapes |= {out_bias: (width,)} if bias else {}
    return ruled(attention, shapes, to_flax, adjoint)
