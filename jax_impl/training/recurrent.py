"""A long sequence in chunks: the state goes on, the gradient does not.

The network reads image rows, (B, T, 8), and predicts the row that follows; a batch has `rows` and `following`, and
its state begins where the batch before it ended.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jax_impl.models.losses import Batch, Params
from jax_impl.training.per_loss import MOMENTUM, Log


def chunk_loss(params: Params, state: Array, batch: Batch) -> tuple[Array, Array]:
    """The mean squared error over the chunk's rows, and the state after them, (B, width)."""

    def read(state, row):
        inputs = row["rows"] @ params["read.kernel"]
        state = jnp.tanh(inputs + state @ params["state.kernel"] + params["state.bias"])
        predicted = state @ params["predict.kernel"] + params["predict.bias"]
        return state, optax.squared_error(predicted, row["following"]).mean()

    state, errors = jax.lax.scan(read, state, {name: v.swapaxes(0, 1) for name, v in batch.items()})
    return errors.mean(), state


def truncated(params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """One step for each chunk: the state is an argument and a result of the step, so no gradient crosses over.

    There is nothing to detach: `grad` differentiates with respect to `params` alone.
    """
    optimizer = optax.sgd(rate, MOMENTUM)

    @jax.jit
    def step(params, opt_state, state, batch):
        (value, state), gradient = jax.value_and_grad(chunk_loss, has_aux=True)(params, state, batch)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state, state, {"value": value}

    opt_state, state, log = optimizer.init(params), None, []
    for batch in batches:
        state = start(params, batch) if state is None else state
        params, opt_state, state, logged = step(params, opt_state, state, batch)
        log.append(logged)
    return params, log


def truncated_accumulated(
    params: Params, batches: Iterable[Batch], length: int = 4, rate: float = 0.05
) -> tuple[Params, Log]:
    """One step for each batch, whose gradient is cut every `length` rows: `stop_gradient` on the state.

    All chunks stand inside one differentiated function, so here the cut must be written; the residuals of all of them
    are alive until the backward.
    """
    optimizer = optax.sgd(rate, MOMENTUM)

    def loss(params, state, batch):
        values = []
        for part in chunks(batch, length):
            value, state = chunk_loss(params, jax.lax.stop_gradient(state), part)
            values.append(value)
        return jnp.stack(values).mean(), state

    @jax.jit
    def step(params, opt_state, state, batch):
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params, state, batch)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state, state, {"value": value}

    opt_state, state, log = optimizer.init(params), None, []
    for batch in batches:
        state = start(params, batch) if state is None else state
        params, opt_state, state, logged = step(params, opt_state, state, batch)
        log.append(logged)
    return params, log


def truncated_wrong(params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """No error: with every chunk inside one differentiated function, each loss reaches back to the first row.

    It is the whole sequence's gradient and one step, not the truncated one; its residuals grow with the sequence.
    """
    batches, optimizer = list(batches), optax.sgd(rate, MOMENTUM)

    def loss(params):
        state, values = start(params, batches[0]), []
        for batch in batches:
            value, state = chunk_loss(params, state, batch)
            values.append(value)
        return jnp.stack(values).mean(), values

    (_, values), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    updates, _ = optimizer.update(gradient, optimizer.init(params))
    return optax.apply_updates(params, updates), [{"value": value} for value in values]


def start(params: Params, batch: Batch) -> Array:
    """The state before the first row: zeros."""
    return jnp.zeros((len(batch["rows"]), len(params["state.bias"])), params["state.bias"].dtype)


def chunks(batch: Batch, length: int) -> list[Batch]:
    """The batch in chunks of `length` rows, in order."""
    rows = batch["rows"].shape[1]
    if length < 1 or rows % length:
        raise ValueError(f"`length` must divide the {rows} rows of a batch (got {length})")
    starts = range(0, rows, length)
    return [{name: v[:, k : k + length] for name, v in batch.items()} for k in starts]
