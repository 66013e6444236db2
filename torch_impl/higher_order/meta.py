"""A loss at the end of a descent: model-agnostic meta-learning."""

from collections.abc import Callable
from numbers import Real

from torch import Tensor, autograd

from torch_impl.higher_order.network import mlp
from torch_impl.higher_order.tree import at_least, differentiable, recording, scalar, whole
from torch_impl.models.losses import Batch, Params


def maml(
    loss: Callable[[Params, Batch], Tensor],
    params: Params,
    support: Batch,
    query: Batch,
    steps: int,
    rate: float,
    second_order: bool = True,
) -> Tensor:
    """The query loss after `steps` of gradient descent on the support loss, as a function of where descent began.

    `create_graph` records every inner gradient, so the outer one goes back through the descent: a Hessian product a
    step. Without it the inner gradients are constants, and what is left is first-order MAML.
    """
    whole(0, steps=steps)
    if isinstance(rate, Real):  # else it is learned too, and known only when it has run
        at_least(0, rate=rate)
    differentiable(params)
    if steps:
        recording(params)
    for _ in range(steps):
        value, leaves = scalar("loss", loss(params, support)), list(params.values())
        inner = autograd.grad(value, leaves, create_graph=second_order, materialize_grads=True)
        params = {name: p - rate * g for (name, p), g in zip(params.items(), inner, strict=True)}
    return scalar("loss", loss(params, query))


def sine_loss(params: Params, task: Batch) -> Tensor:
    """Mean squared error of the network on one sine: x (points, 1), y (points,)."""
    return (mlp(params, task["x"]) - task["y"]).square().mean()
