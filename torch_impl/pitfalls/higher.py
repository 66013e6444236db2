"""What goes wrong when a gradient is differentiated again, or hooked, batched, scaled."""

import torch
from torch import Tensor, autograd
from torch.amp import GradScaler
from torch.optim import Optimizer


def create_graph_cycle(w: Tensor) -> Tensor:
    """`w.grad` has a graph that leads to `w`, which holds `.grad`: a cycle that is never freed."""
    (w**3).sum().backward(create_graph=True)
    return autograd.grad(w.grad.sum(), w)[0]


def create_graph_cycle_fixed(w: Tensor) -> Tensor:
    """`autograd.grad` returns the gradient and leaves `.grad` alone: no cycle."""
    (grad,) = autograd.grad((w**3).sum(), w, create_graph=True)
    return autograd.grad(grad.sum(), w)[0]


def second_order(w: Tensor) -> Tensor:
    """A gradient taken without `create_graph` is a constant; differentiating it alone raises."""
    (grad,) = autograd.grad((w**3).sum(), w)
    return autograd.grad((grad**2).sum(), w)[0]


def second_order_silent(w: Tensor) -> Tensor:
    """Added to a loss, the constant raises nothing: the penalty's gradient is not there."""
    loss = (w**3).sum()
    (grad,) = autograd.grad(loss, w, retain_graph=True)
    return autograd.grad(loss + (grad**2).sum(), w)[0]


def second_order_fixed(w: Tensor) -> Tensor:
    """`create_graph=True` records the backward, so that the penalty has a gradient."""
    loss = (w**3).sum()
    (grad,) = autograd.grad(loss, w, create_graph=True)
    return autograd.grad(loss + (grad**2).sum(), w)[0]


def retain_grad_batched(w: Tensor) -> Tensor:
    """`retain_grad` under a batched backward leaves a tensor of vmap's in `.grad`: no error until it is read."""
    z = torch.tanh(w)
    z.retain_grad()
    losses = torch.stack([z.sum(), (z**2).sum()])
    autograd.grad(losses, w, torch.eye(2, dtype=w.dtype), is_grads_batched=True)
    return z.grad


def retain_grad_batched_fixed(w: Tensor) -> Tensor:
    """Ask for the intermediate's gradient as for any other: one row a loss."""
    z = torch.tanh(w)
    losses = torch.stack([z.sum(), (z**2).sum()])
    _, dz = autograd.grad(losses, [w, z], torch.eye(2, dtype=w.dtype), is_grads_batched=True)
    return dz


def hook_per_backward(w: Tensor, calls: list[Tensor]) -> Tensor:
    """A hook fires once per backward, so a clamp of each loss's gradient is not a clamp of their sum."""
    z = w * 1
    z.register_hook(lambda grad: _clamped(grad, calls))
    (2 * z).sum().backward(retain_graph=True)
    (3 * z).sum().backward()
    return w.grad


def hook_per_backward_fixed(w: Tensor, calls: list[Tensor]) -> Tensor:
    """One backward of the sum: one call, and it sees the whole gradient."""
    z = w * 1
    z.register_hook(lambda grad: _clamped(grad, calls))
    ((2 * z).sum() + (3 * z).sum()).backward()
    return w.grad


def _clamped(grad: Tensor, calls: list[Tensor]) -> Tensor:
    calls.append(grad)
    return grad.clamp(max=1)


def scaled_losses(w: Tensor, optimizer: Optimizer, scaler: GradScaler) -> None:
    """A second `unscale_` before `update` raises, when `.grad` already mixes two scales."""
    for loss in ((2 * w).sum(), (3 * w).sum()):
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)


def scaled_losses_fixed(w: Tensor, optimizer: Optimizer, scaler: GradScaler) -> None:
    """Every loss scaled by the same scaler, then one `unscale_` of what has added up."""
    for loss in ((2 * w).sum(), (3 * w).sum()):
        scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
