"""Several losses, one optimiser: each loss's gradient is a value before it is anything else."""

from collections.abc import Callable, Iterable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jax_impl.aggregation import combine, gramian
from jax_impl.first_order import per_loss_retained
from jax_impl.models.losses import Batch, Losses, Params

Model = Callable[[Batch], Losses]
Log = list[dict]
MOMENTUM = 0.9


def multi_task(losses: Model, params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """Each loss's value and gradient norm are logged before the sum is stepped: one forward, K pulls.

    A gradient is a value, so no loss can run into another. What the step returns beside the parameters is the log;
    its numbers are waited for only when somebody reads them.
    """
    return surgery(losses, params, batches, lambda gram: jnp.ones_like(gram[0]), rate)


def surgery(
    losses: Model, params: Params, batches: Iterable[Batch], aggregate: Callable[[Array], Array], rate: float = 0.05
) -> tuple[Params, Log]:
    """`aggregate` turns the inner products of the K gradients into K weights; the weighted sum is stepped.

    It is `pcgrad`, `upgrad` or `mgda` of `jax_impl.aggregation`, or any function from (K, K) to (K,).
    """
    optimizer = optax.sgd(rate, MOMENTUM)

    @jax.jit
    def step(params, state, batch):
        found = losses(batch)
        values, grads = found(params), per_loss_retained(found, params)  # one forward: XLA merges the two
        gram = gramian(grads)
        updates, state = optimizer.update(combine(grads, aggregate(gram)), state)
        norms = dict(zip(values, jnp.sqrt(gram.diagonal()), strict=True))
        logged = {name: {"value": values[name], "norm": norms[name]} for name in values}
        return optax.apply_updates(params, updates), state, logged

    state, log = optimizer.init(params), []
    for batch in batches:
        params, state, logged = step(params, state, batch)
        log.append(logged)
    return params, log


def alternating(losses: Model, params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """Step t follows one loss alone, each in its turn: one head's forward and backward, and no other's.

    A parameter that the loss does not touch has a gradient of zeros, and its momentum still moves it. One program is
    compiled for each loss: the name is static.
    """
    optimizer = optax.sgd(rate, MOMENTUM)

    @partial(jax.jit, static_argnames="name")
    def step(params, state, batch, name):
        found = losses(batch)
        value, gradient = jax.value_and_grad(lambda p: found.heads[name](p, found.trunk(p)))(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, {name: {"value": value}}

    state, log = optimizer.init(params), []
    for t, batch in enumerate(batches):
        names = list(losses(batch).heads)
        params, state, logged = step(params, state, batch, names[t % len(names)])
        log.append(logged)
    return params, log
