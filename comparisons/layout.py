"""Parameter maps from torch.nn to flax.nnx, layer by layer, and their adjoints.

A layer's map is linear, `L`. Weights go over by `to_flax` (L), gradients come back by `adjoint` (L'): the chain rule
through L. The two are inverses only where L is a permutation. An LSTM adds two biases into one, so its adjoint gives
that one's gradient to both; tied weights are copied, so their gradients add up.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Layer(NamedTuple):
    """One layer type at one size: PyTorch's parameter shapes, the map to Flax's, and the map's adjoint."""

    shapes: dict[str, tuple[int, ...]]
    to_flax: Callable[[Arrays], Arrays]
    adjoint: Callable[[Arrays], Arrays]


Layout = Mapping[str, Layer]


def to_flax(params: Arrays, layout: Layout) -> Arrays:
    """PyTorch's parameters under Flax's names and in Flax's layouts."""
    return _by_layer(params, layout, "to_flax")


def from_flax(grads: Arrays, layout: Layout) -> Arrays:
    """The gradient with respect to PyTorch's parameters, from the gradient with respect to Flax's."""
    return _by_layer(grads, layout, "adjoint")


def _by_layer(arrays: Arrays, layout: Layout, direction: str) -> Arrays:
    mapped: Arrays = {}
    unclaimed = set(arrays)
    for name, layer in layout.items():
        own = {
            key: key.removeprefix(name).removeprefix(".") for key in arrays if key == name or key.startswith(f"{name}.")
        }
        unclaimed -= own.keys()
        found = getattr(layer, direction)({leaf: arrays[key] for key, leaf in own.items()})
        mapped |= {f"{name}.{leaf}".removesuffix("."): array for leaf, array in found.items()}
    if unclaimed:
        raise ValueError(f"`layout` has no layer for {sorted(unclaimed)}: add a row for it, such as `linear(...)`")
    return mapped


def _permuted(shapes: Mapping[str, tuple[int, ...]], **leaves: tuple[str, tuple[int, ...]]) -> Layer:
    """A layer whose map renames and transposes: `weight=("kernel", (1, 0))`. Its adjoint is its inverse."""
    shapes = {leaf: shape for leaf, shape in shapes.items() if shape}
    return Layer(
        shapes,
        lambda own: {leaves[leaf][0]: own[leaf].transpose(leaves[leaf][1]) for leaf in shapes},
        lambda own: {leaf: own[leaves[leaf][0]].transpose(np.argsort(leaves[leaf][1])) for leaf in shapes},
    )


def parameter(*shape: int) -> Layer:
    """A bare parameter, the same on both sides."""
    return Layer({"": shape}, lambda own: own, lambda own: own)


def linear(inputs: int, outputs: int, bias: bool = True) -> Layer:
    """`nn.Linear` (out, in) is `nnx.Linear` (in, out)."""
    shapes = {"weight": (outputs, inputs), "bias": (outputs,) if bias else ()}
    return _permuted(shapes, weight=("kernel", (1, 0)), bias=("bias", (0,)))


def conv(inputs: int, outputs: int, *kernel: int) -> Layer:
    """`nn.Conv1d`, 2d, 3d (out, in, *kernel) is `nnx.Conv` (*kernel, in, out)."""
    order = (*range(2, 2 + len(kernel)), 1, 0)
    return _permuted(
        {"weight": (outputs, inputs, *kernel), "bias": (outputs,)}, weight=("kernel", order), bias=("bias", (0,))
    )


def norm(features: int) -> Layer:
    """`nn.LayerNorm` and `nn.GroupNorm` call `scale` their weight."""
    return _permuted({"weight": (features,), "bias": (features,)}, weight=("scale", (0,)), bias=("bias", (0,)))


def attention(width: int, heads: int) -> Layer:
    """`nn.MultiheadAttention` fuses query, key and value; `nnx.MultiHeadAttention` keeps three, with heads an axis."""
    names, each = ("query", "key", "value"), width // heads

    def to_flax(own: Arrays) -> Arrays:
        kernels = own["in_proj_weight"].reshape(3, heads, each, width).transpose(0, 3, 1, 2)
        biases = own["in_proj_bias"].reshape(3, heads, each)
        split = {f"{n}.kernel": k for n, k in zip(names, kernels, strict=True)}
        split |= {f"{n}.bias": b for n, b in zip(names, biases, strict=True)}
        out = own["out_proj.weight"].T.reshape(heads, each, width)
        return split | {"out.kernel": out, "out.bias": own["out_proj.bias"]}

    def adjoint(own: Arrays) -> Arrays:
        kernels = np.stack([own[f"{n}.kernel"] for n in names])
        return {
            "in_proj_weight": kernels.transpose(0, 2, 3, 1).reshape(3 * width, width),
            "in_proj_bias": np.concatenate([own[f"{n}.bias"].reshape(width) for n in names]),
            "out_proj.weight": own["out.kernel"].reshape(width, width).T,
            "out_proj.bias": own["out.bias"],
        }

    shapes = {
        "in_proj_weight": (3 * width, width),
        "in_proj_bias": (3 * width,),
        "out_proj.weight": (width, width),
        "out_proj.bias": (width,),
    }
    return Layer(shapes, to_flax, adjoint)


def lstm(inputs: int, width: int) -> Layer:
    """`nn.LSTM` adds two biases; `nnx.OptimizedLSTMCell` has their sum. Both order the gates i, f, g, o."""
    shapes = {
        "weight_ih_l0": (4 * width, inputs),
        "weight_hh_l0": (4 * width, width),
        "bias_ih_l0": (4 * width,),
        "bias_hh_l0": (4 * width,),
    }

    def to_flax(own: Arrays) -> Arrays:
        return {
            "dense_i.kernel": own["weight_ih_l0"].T,
            "dense_h.kernel": own["weight_hh_l0"].T,
            "dense_h.bias": own["bias_ih_l0"] + own["bias_hh_l0"],
        }

    def adjoint(own: Arrays) -> Arrays:
        return {
            "weight_ih_l0": own["dense_i.kernel"].T,
            "weight_hh_l0": own["dense_h.kernel"].T,
            "bias_ih_l0": own["dense_h.bias"],
            "bias_hh_l0": own["dense_h.bias"],
        }

    return Layer(shapes, to_flax, adjoint)


def tied(inputs: int, outputs: int) -> Layer:
    """One weight (out, in) that embeds and, transposed, reads out; Flax holds a copy for each use."""
    return Layer(
        {"weight": (outputs, inputs)},
        lambda own: {"embed.kernel": own["weight"].T, "attend.kernel": own["weight"]},
        lambda own: {"weight": own["embed.kernel"].T + own["attend.kernel"]},
    )
