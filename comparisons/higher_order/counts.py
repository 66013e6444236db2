"""FLOPs in closed form: what each mode multiplies, from the sizes of a network's products alone.

A product of a weight with an activation costs `F` forward. Its gradient costs two more, the first layer's one more,
because data needs no gradient. Of second order each of the three becomes three, less what no result needs.
"""

from math import prod
from typing import NamedTuple

from comparisons.problems import Problem

MODES = ("hvp_forward_over_reverse", "hvp_reverse_over_forward", "hvp_reverse_over_reverse")


class Products(NamedTuple):
    """FLOPs of one forward: all products, those of the `first` layer, those `between` two activations.

    `convolved` is the first layer's where it is a convolution, `inner` the other convolutions'; `swapped` what JAX
    writes down beyond `first`'s convolution and the others where the weights' small array stands in for the image.
    """

    forward: int
    first: int
    between: int = 0
    convolved: int = 0
    swapped: int = 0
    inner: int = 0


def many_heads(problem: Problem) -> Products:
    weights = [w.shape for name, w in problem.params.items() if name.endswith(".weight")]
    batch, width = problem.batch["x"].shape
    return Products(2 * batch * sum(map(prod, weights)), 2 * batch * width * width)


def attention(problem: Problem) -> Products:
    """Every linear layer of the trunk runs on eight tokens; scores and mixing are products between activations."""
    batch, tokens, features = problem.batch["images"].shape
    shapes = {name: w.shape for name, w in problem.params.items() if name.endswith("weight") and w.ndim > 1}
    width = problem.params["digit.weight"].shape[1]
    depth = sum(name.endswith(".up.weight") for name in shapes)
    linear = sum(2 * batch * prod(s) * (tokens if name.startswith("trunk.") else 1) for name, s in shapes.items())
    between = depth * 2 * (2 * batch * tokens * tokens * width)
    return Products(linear + between, 2 * batch * tokens * features * width, between)


def conv(problem: Problem) -> Products:
    """The second convolution sees a pooled image."""
    batch, height, width = problem.batch["images"].shape
    first = 2 * batch * height * width * problem.params["trunk.conv1.weight"].size
    pooled, kernel = height // 2 * (width // 2), problem.params["trunk.conv2.weight"].shape
    second = 2 * batch * pooled * prod(kernel)
    heads = 2 * batch * sum(w.size for name, w in problem.params.items() if w.ndim == 2)
    swapped = 2 * batch * pooled * kernel[0] * kernel[1] * (pooled - prod(kernel[2:]))
    return Products(first + second + heads, first, 0, first, swapped, second)


COUNT = {"many_heads": many_heads, "attention": attention, "conv": conv}


def predicted(mode: str, strategy: str, name: str, problem: Problem) -> int:
    """What `flops` should count for the gradient (`summed`) or for one product of one loss, in eager, compile or jit.

    Eager PyTorch runs 9F, or 8F in reverse over forward. JAX leaves out what no result needs: 8F throughout. A product
    between activations costs 9F in all of them. PyTorch's forward mode multiplies the data's zero tangent too, and
    the double backward of its convolution also makes the data's gradient. PyTorch's graph without dead code has 8F in
    forward over reverse; a convolution's backward stays whole. JAX's inner product of gradient and direction is a
    product with the number 1 when it is transposed, 2 for each parameter.
    """
    p = COUNT[name](problem)
    if strategy == "summed":
        return 3 * p.forward - p.first
    if mode == "jit":
        reverse_twice = strategy == "hvp_reverse_over_reverse"
        extra = 2 * sum(w.size for w in problem.params.values()) + p.swapped if reverse_twice else 0
        return 8 * p.forward + p.between - 5 * p.first + extra
    forward_last = 8 * p.forward + p.between - 3 * p.first
    eager = {
        "hvp_forward_over_reverse": 9 * p.forward - 3 * p.first,
        "hvp_reverse_over_forward": forward_last,
        "hvp_reverse_over_reverse": 9 * p.forward - 5 * p.first + p.convolved,
    }
    graph = {
        "hvp_forward_over_reverse": forward_last + p.inner,
        "hvp_reverse_over_forward": forward_last,
        "hvp_reverse_over_reverse": 9 * p.forward - 5 * p.first,
    }
    return {"eager": eager, "compile": graph}[mode][strategy]
