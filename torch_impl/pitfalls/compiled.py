"""What goes wrong when `torch.compile` stands between two backwards. `aot_eager` shows it without a C++ compiler."""

import torch
from torch import Tensor, autograd


def compiled_second_order(w: Tensor, backend: str = "aot_eager") -> Tensor:
    """A backward through a compiled function's backward raises."""
    loss = torch.compile(lambda w: (w.sin() * w.exp()).sum(), backend=backend)(w)
    (grad,) = autograd.grad(loss, w, create_graph=True)
    return autograd.grad(loss + (grad**2).sum(), w)[0]


def compiled_second_order_silent(w: Tensor, backend: str = "aot_eager") -> Tensor:
    """It does not raise where the compiled backward reads only what the graph computed: the second order is dropped.

    `exp` saves its result, an output of the compiled graph that does not lead back to `w`.
    """
    loss = torch.compile(lambda w: w.exp().sum(), backend=backend)(w)
    (grad,) = autograd.grad(loss, w, create_graph=True)
    return autograd.grad(loss + (grad**2).sum(), w)[0]


def compiled_second_order_fixed(w: Tensor, backend: str = "aot_eager") -> Tensor:
    """Differentiate inside: `torch.func.grad` twice, and compile the whole."""

    def loss(w):
        return (w.sin() * w.exp()).sum()

    def penalised(w):
        return loss(w) + (torch.func.grad(loss)(w) ** 2).sum()

    return torch.compile(torch.func.grad(penalised), backend=backend)(w.detach())


def donated_buffers(w: Tensor, backend: str = "aot_eager") -> None:
    """A compiled backward whose first run did not retain may reuse the saved buffers; retaining later raises."""
    losses = torch.compile(_two_losses, backend=backend)
    a, b = losses(w)
    autograd.grad(a + b, w)
    a, b = losses(w)
    autograd.grad(a, w, retain_graph=True)


def donated_buffers_fixed(w: Tensor, backend: str = "aot_eager") -> None:
    """The first run decides: if it retains, no buffer is donated, and both orders work from then on."""
    losses = torch.compile(_two_losses, backend=backend)
    a, b = losses(w)
    autograd.grad(a, w, retain_graph=True)
    autograd.grad(b, w)
    a, b = losses(w)
    autograd.grad(a + b, w)
    a, b = losses(w)
    autograd.grad(a, w, retain_graph=True)


def miscompiled(xs: Tensor, w: Tensor, u: Tensor) -> Tensor:
    """Both losses' gradients by one batched pull: each operator runs a kernel of its own, and none is fused."""
    h, hs = torch.zeros(xs.shape[1], u.shape[0], dtype=xs.dtype), []
    for x in xs:
        candidate, gate = (x @ w + h @ u).chunk(2, -1)
        h = candidate.tanh() * gate.sigmoid()
        hs.append(h)
    losses = torch.stack([torch.stack(hs).sum(), torch.stack(hs).square().mean()])
    return autograd.grad(losses, w, torch.eye(2, dtype=w.dtype), is_grads_batched=True)[0]


def _two_losses(w: Tensor) -> tuple[Tensor, Tensor]:
    z = (w @ w).tanh().exp()
    return z.sum(), (z**2).sum()
