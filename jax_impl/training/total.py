"""One gradient, the sum's, and what may happen between taking it and stepping."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import optax

from jax_impl.models.losses import Batch, Params
from jax_impl.training.per_loss import MOMENTUM, Log, Model


def accumulation(
    losses: Model, params: Params, batches: Iterable[Batch], parts: int = 4, rate: float = 0.05
) -> tuple[Params, Log]:
    """A batch in `parts` equal parts gives the batch's gradient, with one part's residuals alive at a time.

    A scan carries the sum: its carry is what PyTorch keeps in `.grad`. Losses are means, so each part's is divided by
    `parts`.
    """
    optimizer = optax.sgd(rate, MOMENTUM)

    @jax.jit
    def step(params, state, batch):
        def add(gradient, part):
            value, more = jax.value_and_grad(lambda p: sum(losses(part)(p).values()) / parts)(params)
            return jax.tree.map(jnp.add, gradient, more), value

        zeros = jax.tree.map(jnp.zeros_like, params)
        gradient, values = jax.lax.scan(add, zeros, split(batch, parts))
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, {"value": values.sum()}

    state, log = optimizer.init(params), []
    for batch in batches:
        params, state, logged = step(params, state, batch)
        log.append(logged)
    return params, log


def split(batch: Batch, parts: int) -> Batch:
    """The batch in equal parts, in order, along a new first axis: the mean of their means is the mean."""
    sizes = {name: len(rows) for name, rows in batch.items()}
    size = min(sizes.values())
    if max(sizes.values()) > size:
        raise ValueError(f"`batch` must have a row a sample in every entry (got {sizes} rows): transpose what has not")
    if parts < 1 or size % parts:
        raise ValueError(
            f"`parts` must divide the batch of {size} (got {parts}): a small part would weigh as a large one"
        )
    return {name: v.reshape(parts, -1, *v.shape[1:]) for name, v in batch.items()}


def inspected(
    losses: Model, params: Params, batches: Iterable[Batch], limit: float = 1.0, rate: float = 0.05
) -> tuple[Params, Log]:
    """Gradients are looked at before the step, and shortened to `limit`: they are values, and the step is a function.

    `optax.clip_by_global_norm` scales by limit / norm exactly; `torch.nn.utils.clip_grad_norm_` divides by norm + 1e-6.
    """
    optimizer = optax.chain(optax.clip_by_global_norm(limit), optax.sgd(rate, MOMENTUM))

    @jax.jit
    def step(params, state, batch):
        value, gradient = jax.value_and_grad(lambda p: sum(losses(batch)(p).values()))(params)
        updates, state = optimizer.update(gradient, state)
        logged = {"value": value, "norm": optax.tree.norm(gradient)}
        return optax.apply_updates(params, updates), state, logged

    state, log = optimizer.init(params), []
    for batch in batches:
        params, state, logged = step(params, state, batch)
        log.append(logged)
    return params, log
