"""What goes wrong with parameters that a loss does not touch, and with `.grad`, which remembers."""

import torch
from torch import Tensor, autograd


def unused_parameter(used: Tensor, unused: Tensor) -> tuple[Tensor, ...]:
    """Asking for the gradient with respect to a parameter that the loss does not reach raises."""
    return autograd.grad((used**2).sum(), [used, unused])


def unused_parameter_fixed(used: Tensor, unused: Tensor) -> tuple[tuple[Tensor | None, ...], tuple[Tensor, ...]]:
    """`allow_unused` gives None, `materialize_grads` zeros: two answers, and an optimiser tells them apart."""
    as_none = autograd.grad((used**2).sum(), [used, unused], allow_unused=True)
    as_zeros = autograd.grad((used**2).sum(), [used, unused], materialize_grads=True)
    return as_none, as_zeros


def unused_step(used: Tensor, unused: Tensor) -> list[Tensor]:
    """The second loss does not touch `unused`: its gradient is None and AdamW skips it, momentum and decay too."""
    optimizer = torch.optim.AdamW([used, unused], lr=0.1, weight_decay=0.1)
    after = []
    for loss in (lambda: (used * unused).sum(), lambda: (used**2).sum(), lambda: (used * unused).sum()):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        after.append(unused.detach().clone())
    return after


def unused_step_fixed(used: Tensor, unused: Tensor) -> list[Tensor]:
    """With zeros in place of None the optimiser moves it: what JAX does.

    `zero_grad(set_to_none=False)` leaves None where no backward has been yet.
    """
    optimizer = torch.optim.AdamW([used, unused], lr=0.1, weight_decay=0.1)
    after = []
    for loss in (lambda: (used * unused).sum(), lambda: (used**2).sum(), lambda: (used * unused).sum()):
        used.grad, unused.grad = autograd.grad(loss(), [used, unused], materialize_grads=True)
        optimizer.step()
        after.append(unused.detach().clone())
    return after


def no_zero_grad(w: Tensor, x: Tensor) -> Tensor:
    """Two steps' gradients add up silently: `backward` adds to what `.grad` holds."""
    for row in x:
        (row * w).sum().backward()
    return w.grad


def no_zero_grad_fixed(w: Tensor, x: Tensor) -> Tensor:
    """`.grad = None` before each backward; `autograd.grad`, which returns its result, has nothing to clear."""
    for row in x:
        w.grad = None
        (row * w).sum().backward()
    return w.grad
