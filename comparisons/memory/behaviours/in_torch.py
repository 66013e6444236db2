"""PyTorch's behaviours: one check each, named as in the table."""

from functools import partial

import torch
from torch import Tensor

from comparisons.memory import predictions, sides
from comparisons.memory.behaviours.seen import LAYERS, SMALL, Seen
from comparisons.problems import many_heads
from torch_impl import first_order
from torch_impl.memory import accumulation as adding
from torch_impl.memory import checkpoint, growth, lifetime
from torch_impl.memory import compiled as compiling

ARRAY = 4 * SMALL.batch * SMALL.width
HEAD = 4 * SMALL.batch
HELD = predictions.held("torch", SMALL)
PRODUCT = 2 * SMALL.batch * SMALL.width**2


def retaining(device: str) -> Seen:
    figures = lifetime.retaining(*_small(device))
    return Seen(lifetime.retaining, figures, {"forward": HELD, "retained": HELD, "released": 0})


def left_behind(device: str) -> Seen:
    figures = lifetime.left_behind(*_small(device))
    left = ARRAY + (SMALL.losses - 1) * HEAD
    return Seen(lifetime.left_behind, figures, {"forward": HELD, "private": left, "left": left, "dropped": 0})


def path_only(device: str) -> Seen:
    return Seen(lifetime.path_only, lifetime.path_only(512), {"forward": 4096, "after a": 2048, "after b": 0})


def failed_second_backward(device: str) -> Seen:
    figures = lifetime.failed_second_backward()
    return Seen(lifetime.failed_second_backward, figures, {"a + b": 3, "b + a": 0})


def per_tanh(device: str) -> Seen:
    return Seen(lifetime.per_tanh, lifetime.per_tanh(LAYERS, 512), {"array": 2048, "held": LAYERS * 2048})


def last_reference(device: str) -> Seen:
    figures = lifetime.last_reference(*_small(device))
    one = HELD - (SMALL.losses - 1) * HEAD
    return Seen(lifetime.last_reference, figures, {"forward": HELD, "one loss": one, "dropped": 0})


def donation(device: str) -> Seen:
    return Seen(lifetime.donation, lifetime.donation(512), {"forward": 2048, "released": 0, "still yours": 2048})


def as_losses_grow(device: str) -> Seen:
    x = torch.ones(8 * SMALL.width, SMALL.width)
    batched = growth.as_losses_grow(first_order.per_loss_batched, x)
    chunked = growth.as_losses_grow(first_order.per_loss_chunked, x)
    figures = {"array": x.nbytes} | {f"batched, {name}": value for name, value in batched.items()}
    figures |= {f"chunked, {name}": value for name, value in chunked.items()}
    expected = {name: 2 * x.nbytes for name in figures if "held" in name}
    rise, flat = (found["beyond, K = 8"] - found["beyond, K = 4"] for found in (batched, chunked))
    relations = {
        "batched, four more losses cost two arrays each and more": rise > 8 * x.nbytes,
        "chunked, they cost less than one array in all": flat < x.nbytes,
    }
    return Seen(growth.as_losses_grow, figures, expected, relations)


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
    return Seen(checkpoint.segmented, _both(plain, found), expected, lower)


def selective(device: str) -> Seen:
    plain, found = (checkpoint.trade(forward, *_layers()) for forward in (checkpoint.plain, checkpoint.selective))
    flops = (3 * LAYERS - 1) * PRODUCT
    held = {"held, plain": 3 * LAYERS * ARRAY, "held, checkpointed": LAYERS * ARRAY, "by hooks, checkpointed": 0}
    return Seen(
        checkpoint.selective,
        _both(plain, found),
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


def accumulates(device: str) -> Seen:
    return Seen(adding.accumulates, adding.accumulates(512), {"one": 512, "two": 1024, "moved": 0})


def accumulation(device: str) -> Seen:
    losses, params, _ = _small(device)
    figures = adding.accumulation(losses, params)
    relations = {"three results have a higher peak": figures["per_loss_retained"] > figures["accumulated"]}
    return Seen(adding.accumulation, figures, {"one gradient": sides.nbytes(params)}, relations)


def zero_grad_policy(device: str) -> Seen:
    losses, params, _ = _small(device)
    figures = adding.zero_grad_policy(losses, params)
    ratio = {name: figures[f"{name}, sequential"] / figures[f"{name}, summed"] for name in ("none", "zeros")}
    relations = {
        "the sum's peak rises": figures["zeros, summed"] > figures["none, summed"],
        "K backwards stand out less against it": ratio["zeros"] < ratio["none"],
    }
    return Seen(adding.zero_grad_policy, figures, {}, relations)


def _small(device: str) -> tuple:
    side = sides.torch_side("many_heads", many_heads(**SMALL._asdict()), device=device)
    return side.losses, side.params, side.batch


def _layers() -> tuple[Tensor, list[Tensor]]:
    make = partial(torch.eye, SMALL.width, requires_grad=True)
    return torch.ones(SMALL.batch, SMALL.width), [make() for _ in range(LAYERS)]


def _both(plain: dict[str, int], found: dict[str, int]) -> dict[str, int]:
    pairs = (("plain", plain), ("checkpointed", found))
    return {f"{figure}, {name}": values[figure] for figure in plain for name, values in pairs}
