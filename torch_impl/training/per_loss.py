"""Several losses, one optimiser: each loss's gradient is a value before it is anything else."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from torch_impl.aggregation import combine, gramian
from torch_impl.first_order.tree import grad
from torch_impl.models.losses import Batch, Losses, Params

Model = Callable[[Batch], Losses]
Log = list[dict]
MOMENTUM = 0.9


def multi_task(losses: Model, params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """Each loss's value and gradient norm are logged before the sum is stepped: one forward, K backwards.

    `autograd.grad` returns a gradient and leaves `.grad` alone, so that no loss runs into another; `backward` would
    add them into one tensor. The graph is retained for all losses but the last.
    """
    return surgery(losses, params, batches, lambda gram: torch.ones_like(gram[0]), rate)


def surgery(
    losses: Model, params: Params, batches: Iterable[Batch], aggregate: Callable[[Tensor], Tensor], rate: float = 0.05
) -> tuple[Params, Log]:
    """`aggregate` turns the inner products of the K gradients into K weights; the weighted sum is stepped.

    It is `pcgrad`, `upgrad` or `mgda` of `torch_impl.aggregation`, or any function from (K, K) to (K,).
    """
    optimizer = torch.optim.SGD(params.values(), rate, MOMENTUM)
    log = []
    for batch in batches:
        values = losses(batch)(params)
        last = list(values)[-1]
        grads = {n: grad(v, params, retain_graph=n != last, materialize_grads=True) for n, v in values.items()}
        gram = gramian(grads)
        norms = dict(zip(values, gram.diagonal().sqrt(), strict=True))
        log.append({name: {"value": values[name].item(), "norm": norms[name].item()} for name in values})
        for name, total in combine(grads, aggregate(gram)).items():
            params[name].grad = total
        optimizer.step()
    return params, log


def alternating(losses: Model, params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """Step t follows one loss alone, each in its turn: one head's forward and backward, and no other's.

    A parameter that the loss does not touch is given zeros: its momentum still moves it, as in optax. With None,
    PyTorch's own default, the optimiser would skip it.
    """
    optimizer = torch.optim.SGD(params.values(), rate, MOMENTUM)
    log = []
    for t, batch in enumerate(batches):
        found = losses(batch)
        name = list(found.heads)[t % len(found.heads)]
        value = found.heads[name](params, found.trunk(params))
        for key, gradient in grad(value, params, materialize_grads=True).items():
            params[key].grad = gradient
        optimizer.step()
        log.append({name: {"value": value.item()}})
    return params, log
