"""What checkpointing and compiling change in PyTorch: one check for each behaviour, named as in the table."""

from functools import partial

import torch
from torch import Tensor

from comparisons.memory.behaviours.seen import ARRAY, HEAD, LAYERS, SMALL, Seen, beside
from torch_impl.memory import checkpoint
from torch_impl.memory import compiled as compiling

PRODUCT = 2 * SMALL.batch * SMALL.width**2


def segmented(device: str) -> Seen:
    plain, found = (checkpoint.trade(forward, *_layers()) for forward in (checkpoint.plain, checkpoint.segmented))
    expected = {
        "held, plain": 3 * LAYERS * ARRAY,
        "held, checkpointed": (LAYERS // 2 - 1) * ARRAY,
        "by hooks, plain": 3 * LAYERS * ARRAY,
        "by hooks, checkpointed": (LAYERS // 2 - 1) * ARRAY,
        "flops, plain": (3 * LAYERS - 1) * PRODUCT,
        "flops, checkpointed": (4 * LAYERS - 1) * PRODUCT,
    }
    lower = {"the peak is lower": found["peak"] < plain["peak"]}
    return Seen(checkpoint.segmented, beside(plain, found), expected, lower)


def in_one_program(device: str) -> Seen:
    held = {"held, plain": 3 * LAYERS * ARRAY, "held, checkpointed": (LAYERS // 2 - 1) * ARRAY}
    flops = {"flops, plain": (2 * LAYERS - 1) * PRODUCT, "flops, checkpointed": (3 * LAYERS - 1) * PRODUCT}
    return Seen(checkpoint.in_one_program, checkpoint.in_one_program(*_layers()), held | flops)


def selective(device: str) -> Seen:
    plain, found = (checkpoint.trade(forward, *_layers()) for forward in (checkpoint.plain, checkpoint.selective))
    flops = (3 * LAYERS - 1) * PRODUCT
    held = {"held, plain": 3 * LAYERS * ARRAY, "held, checkpointed": LAYERS * ARRAY, "by hooks, checkpointed": 0}
    return Seen(
        checkpoint.selective,
        beside(plain, found),
        held | {"flops, plain": flops, "flops, checkpointed": flops},
    )


def selective_twice(device: str) -> Seen:
    return Seen(checkpoint.selective_twice, checkpoint.selective_twice(4), {"retained": 1, "batched": 4})


def layer_calls(device: str) -> Seen:
    figures = checkpoint.layer_calls(losses=4, depth=4)
    return Seen(checkpoint.layer_calls, figures, {"plain": 4, "retained": 20, "batched": 8})


def compiled(device: str) -> Seen:
    x, weights = _layers()
    heads = [torch.ones(SMALL.width, requires_grad=True) for _ in range(3)]
    figures = compiling.one_node(x, weights, heads)
    forward = LAYERS * ARRAY + 3 * HEAD
    expected = {"eager, forward": forward, "compiled, forward": forward, "compiled, nodes": 1}
    return Seen(
        compiling.one_node,
        figures,
        expected | {"eager, left": ARRAY + 2 * HEAD, "compiled, left": 0},
    )


def budget(device: str) -> Seen:
    figures = compiling.budget(*_layers())
    half = {"half the budget holds at most half": figures["budget 0.5"] <= figures["budget 1"] // 2}
    return Seen(compiling.budget, figures, {"budget 1": (LAYERS + 1) * ARRAY, "budget 0": 0}, half)


def _layers() -> tuple[Tensor, list[Tensor]]:
    make = partial(torch.eye, SMALL.width, requires_grad=True)
    return torch.ones(SMALL.batch, SMALL.width), [make() for _ in range(LAYERS)]
