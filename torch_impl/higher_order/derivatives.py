"""Derivatives of scalar functions to any order, nested derivatives, and what the two flags do."""

from collections.abc import Callable

import torch
from torch import Tensor, autograd

from torch_impl.higher_order.tree import floating, scalar, whole

Function = Callable[[Tensor], Tensor]


def nth_derivative(function: Function, x: Tensor, order: int) -> Tensor:
    """`order` backwards, each of which records itself so that the next can go through it: `create_graph`.

    x is a floating-point scalar, `function` gives one; the graph grows by a factor with every order. Where a
    derivative no longer depends on x, the next is 0: a polynomial ends so.
    """
    if order < 1:
        raise ValueError(f"`order` must be at least 1 (got {order}): order 0 is the function itself")
    whole(1, order=order)
    if x.ndim:
        raise ValueError(f"`x` must be a scalar (got shape {list(x.shape)}): take one entry at a time")
    floating("x", x)
    x = x.detach().requires_grad_()
    y = scalar("function", function(x))
    floating("function(x)", y)
    for _ in range(order):
        if not y.requires_grad:
            return torch.zeros_like(x)
        (y,) = autograd.grad(y, x, create_graph=True, materialize_grads=True)
    return y.detach()


def reverse(function: Function) -> Function:
    """The derivative by reverse mode. `torch.func.grad` gives each nesting level its own identity."""
    return torch.func.grad(function)


def forward(function: Function) -> Function:
    """The derivative by forward mode. `torch.func.jvp` gives each nesting level its own identity."""
    return lambda x: torch.func.jvp(function, (x,), (torch.ones_like(x),))[1]


def recorded(function: Function) -> Function:
    """The derivative by `create_graph`: one graph for all levels, in which a fresh leaf marks each.

    `view_as` makes the leaf out of an outer level's value without cutting it off, as `detach` would. A result without
    a graph is a constant.
    """

    def derivative(x: Tensor) -> Tensor:
        x = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        y = function(x)
        if not y.requires_grad:
            return torch.zeros_like(x)
        return autograd.grad(y, x, create_graph=True, materialize_grads=True)[0]

    return derivative


def backward_twice(function: Function, x: Tensor, create_graph: bool, retain_graph: bool | None = None) -> Tensor:
    """A second derivative by two backwards, under any pair of flags for the first.

    `retain_graph` keeps what the forward saved: the first gradient is still a constant. `create_graph` makes that
    gradient differentiable, and keeps what the forward saved only because `retain_graph` follows it by default.
    """
    x = x.detach().requires_grad_()
    (first,) = autograd.grad(function(x), x, create_graph=create_graph, retain_graph=retain_graph)
    return autograd.grad(first, x)[0]
