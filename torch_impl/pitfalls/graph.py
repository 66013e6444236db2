"""What goes wrong between one backward and the next."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer


def second_backward(w: Tensor, x: Tensor) -> None:
    """A second backward raises where the first met saved data: it was released on the way."""
    loss = (x @ w).sum()
    loss.backward()
    loss.backward()


def second_backward_fixed(w: Tensor, x: Tensor) -> None:
    """`retain_graph` on all but the last keeps the data; the two gradients add up in `w.grad`."""
    loss = (x @ w).sum()
    loss.backward(retain_graph=True)
    loss.backward()


def in_place_step(v: Tensor, w: Tensor, x: Tensor, optimizer: Optimizer) -> None:
    """A step between two backwards raises: the second needs the weights that the forward used."""
    y = torch.tanh(x @ v) @ w
    a, b = y.sum(), (y**2).sum()
    a.backward(retain_graph=True)
    optimizer.step()
    b.backward()


def in_place_step_fixed(v: Tensor, w: Tensor, x: Tensor, optimizer: Optimizer) -> None:
    """All gradients first, then the step."""
    y = torch.tanh(x @ v) @ w
    a, b = y.sum(), (y**2).sum()
    a.backward(retain_graph=True)
    b.backward()
    optimizer.step()


def undetached_state(w: Tensor, inputs: Iterable[Tensor]) -> None:
    """The second step's backward raises: the state carries the first step's graph, already released, with it."""
    h = torch.ones_like(w)
    for x in inputs:
        h = torch.tanh(w * h + x)
        h.sum().backward()


def undetached_state_fixed(w: Tensor, inputs: Iterable[Tensor]) -> None:
    """`detach` carries the state's value over and leaves its graph behind."""
    h = torch.ones_like(w)
    for x in inputs:
        h = torch.tanh(w * h.detach() + x)
        h.sum().backward()


def kept_losses(w: Tensor, inputs: Iterable[Tensor]) -> list[Tensor]:
    """A list of losses is a list of graphs: each holds what its retained backward still could need."""
    losses = []
    for x in inputs:
        loss = torch.tanh(x * w).sum()
        loss.backward(retain_graph=True)
        losses.append(loss)
    return losses


def kept_losses_fixed(w: Tensor, inputs: Iterable[Tensor]) -> list[float]:
    """`item` keeps the number, and the graph dies when `loss` is bound to the next one."""
    losses = []
    for x in inputs:
        loss = torch.tanh(x * w).sum()
        loss.backward(retain_graph=True)
        losses.append(loss.item())
    return losses
