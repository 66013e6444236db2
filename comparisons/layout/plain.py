"""Layers whose map renames, transposes, reshapes or copies."""

from math import prod

from comparisons.layout.layer import Arrays, Layer, permuted, ruled


def parameter(*shape: int) -> Layer:
    """A bare parameter, the same on both sides."""
    return ruled(parameter, {"": shape}, lambda own: own, lambda own: own)


def linear(inputs: int, outputs: int, bias: bool = True) -> Layer:
    """`nn.Linear` (out, in) is `nnx.Linear` (in, out)."""
    shapes = {"weight": (outputs, inputs), "bias": (outputs,) if bias else ()}
    return permuted(linear, shapes, weight=("kernel", (1, 0)), bias=("bias", (0,)))


def general(inputs: tuple[int, ...], outputs: tuple[int, ...], bias: bool = True) -> Layer:
    """`nn.Linear` (out, in) is `nnx.LinearGeneral` (*in, *out), each product of sizes split into its axes."""
    rows, columns = prod(outputs), prod(inputs)
    shapes = {"weight": (rows, columns)} | ({"bias": (rows,)} if bias else {})

    def to_flax(own: Arrays) -> Arrays:
        split = {"kernel": own["weight"].T.reshape(*inputs, *outputs)}
        return split | ({"bias": own["bias"].reshape(outputs)} if bias else {})

    def adjoint(own: Arrays) -> Arrays:
        joined = {"weight": own["kernel"].reshape(columns, rows).T}
        return joined | ({"bias": own["bias"].reshape(rows)} if bias else {})

    return ruled(general, shapes, to_flax, adjoint)


def embedding(count: int, width: int) -> Layer:
    """`nn.Embedding` calls its (count, width) table weight, `nnx.Embed` embedding."""
    return permuted(embedding, {"weight": (count, width)}, weight=("embedding", (0, 1)))


def norm(features: int, weight: bool = True, bias: bool = True) -> Layer:
    """Layer, group, batch and RMS norms call Flax's `scale` their weight."""
    shapes = {"weight": (features,) if weight else (), "bias": (features,) if bias else ()}
    return permuted(norm, shapes, weight=("scale", (0,)), bias=("bias", (0,)))


def tied(inputs: int, outputs: int) -> Layer:
    """One weight (out, in) that embeds and, transposed, reads out; Flax holds a copy for each use."""
    return ruled(
        tied,
        {"weight": (outputs, inputs)},
        lambda own: {"embed.kernel": own["weight"].T, "attend.kernel": own["weight"]},
        lambda own: {"weight": own["embed.kernel"].T + own["attend.kernel"]},
    )
