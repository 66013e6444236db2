"""What goes wrong where Python meets a traced value: little is traced here, so errors are rare and silence is not."""

import torch
from torch import Tensor, autograd


def kept_intermediate(w: Tensor, kept: list[Tensor]) -> Tensor:
    """An intermediate kept in a list is an ordinary tensor, and holds its graph."""
    z = torch.tanh(w)
    kept.append(z)
    return autograd.grad(z.sum(), w, retain_graph=True)[0]


def branch_on_value(w: Tensor) -> Tensor:
    """Python's `if` on a tensor works: the graph is of the branch that was taken."""
    loss = (w**2).sum() if w.sum() > 0 else -w.sum()
    return autograd.grad(loss, w)[0]


def concrete_value(w: Tensor) -> Tensor:
    """`float` takes the number out of the graph: one factor counts as a constant, with one warning a process."""
    return autograd.grad(w.sum() * float(w.sum()), w)[0]


def concrete_value_fixed(w: Tensor) -> Tensor:
    """Leave it a tensor."""
    return autograd.grad(w.sum() * w.sum(), w)[0]


def float64_input(array) -> Tensor:
    """A NumPy float64 array stays float64."""
    return torch.as_tensor(array)


def integer_parameter(count: Tensor) -> Tensor:
    """An integer tensor cannot require grad: the error comes when the parameter is made, not later."""
    return count.requires_grad_()


def integer_parameter_fixed(count: Tensor) -> Tensor:
    """Make it floating, or keep it out of the parameters (a buffer)."""
    return count.double().requires_grad_()
