"""Convolutions: Flax puts the kernel's spatial axes first."""

import numpy as np

from comparisons.layout.layer import Arrays, Layer, permuted, ruled


def conv(inputs: int, outputs: int, *kernel: int, bias: bool = True) -> Layer:
    """`nn.Conv1d`, 2d, 3d (out, in, *kernel) is `nnx.Conv` (*kernel, in, out); with groups, `inputs` is in / groups."""
    order = (*range(2, 2 + len(kernel)), 1, 0)
    shapes = {"weight": (outputs, inputs, *kernel), "bias": (outputs,) if bias else ()}
    return permuted(conv, shapes, weight=("kernel", order), bias=("bias", (0,)))


def conv_transpose(inputs: int, outputs: int, *kernel: int, bias: bool = True, transpose_kernel: bool = False) -> Layer:
    """`nn.ConvTranspose` (in, out, *kernel) is `nnx.ConvTranspose` (*kernel, in, out), flipped in space.

    With Flax's `transpose_kernel=True` it is (*kernel, out, in), and nothing is flipped.
    """
    shapes = {"weight": (inputs, outputs, *kernel)} | ({"bias": (outputs,)} if bias else {})
    space = tuple(range(2, 2 + len(kernel)))
    order = (*space, 1, 0) if transpose_kernel else (*space, 0, 1)

    def flipped(weight: np.ndarray) -> np.ndarray:
        return weight if transpose_kernel else np.flip(weight, space)

    def to_flax(own: Arrays) -> Arrays:
        mapped = {"kernel": flipped(own["weight"]).transpose(order)}
        return mapped | ({"bias": own["bias"]} if bias else {})

    def adjoint(own: Arrays) -> Arrays:
        mapped = {"weight": flipped(own["kernel"].transpose(np.argsort(order)))}
        return mapped | ({"bias": own["bias"]} if bias else {})

    return ruled(conv_transpose, shapes, to_flax, adjoint)
