"""What PyTorch keeps, and when it lets go: one check for each behaviour, named as in the table."""

import torch

from comparisons.memory import predictions, sides
from comparisons.memory.behaviours.seen import ARRAY, HEAD, LAYERS, SMALL, Seen
from comparisons.problems import many_heads
from torch_impl import first_order
from torch_impl.memory import accumulation as adding
from torch_impl.memory import arrays, growth, lifetime

HELD = predictions.held("torch", SMALL)


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
    return Seen(arrays.per_tanh, arrays.per_tanh(LAYERS, 512), {"array": 2048, "held": LAYERS * 2048})


def per_dense_tanh(device: str) -> Seen:
    square, tall = (arrays.per_dense_tanh(LAYERS, batch, 16) for batch in (16, 32))
    figures = {f"{name}, square": value for name, value in square.items()}
    figures |= {f"{name}, tall": value for name, value in tall.items()}
    return Seen(arrays.per_dense_tanh, figures, {"held, square": LAYERS * 1024, "held, tall": LAYERS * 2048})


def last_reference(device: str) -> Seen:
    figures = lifetime.last_reference(*_small(device))
    one = HELD - (SMALL.losses - 1) * HEAD
    return Seen(lifetime.last_reference, figures, {"forward": HELD, "one loss": one, "dropped": 0})


def donation(device: str) -> Seen:
    return Seen(lifetime.donation, lifetime.donation(512), {"forward": 2048, "released": 0, "still yours": 2048})


def reference_cycle(device: str) -> Seen:
    one = 2048 + 4  # exp's output, and the cotangent that multiplies it
    expected = {"one step": one, "3 steps": 3 * one, "cured": 0}
    return Seen(lifetime.reference_cycle, lifetime.reference_cycle(3, 512), expected)


def recorded_twice(device: str) -> Seen:
    figures = lifetime.recorded_twice(512)
    relations = {"leaves: the gradient and two arrays at least": figures["leaves"] >= 3 * figures["gradient"]}
    return Seen(lifetime.recorded_twice, figures, {"gradient": 2048, "constants": 2048}, relations)


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
