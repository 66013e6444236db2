"""One gradient, the sum's, and what may happen between taking it and stepping."""

from collections.abc import Iterable

import torch

from torch_impl.models.losses import Batch, Params
from torch_impl.training.per_loss import MOMENTUM, Log, Model


def accumulation(
    losses: Model, params: Params, batches: Iterable[Batch], parts: int = 4, rate: float = 0.05
) -> tuple[Params, Log]:
    """A batch in `parts` equal parts gives the batch's gradient, with one part's graph alive at a time.

    `backward` adds into `.grad`: here that is the point. Losses are means, so each part's is divided by `parts`.
    """
    optimizer = torch.optim.SGD(params.values(), rate, MOMENTUM)
    log = []
    for batch in batches:
        optimizer.zero_grad()
        total = 0.0
        for part in split(batch, parts):
            value = sum(losses(part)(params).values()) / parts
            value.backward()
            total += value.item()
        optimizer.step()
        log.append({"value": total})
    return params, log


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in equal parts, in order: the mean of their means is the mean."""
    sizes = {name: len(rows) for name, rows in batch.items()}
    size = min(sizes.values())
    if max(sizes.values()) > size:
        raise ValueError(f"`batch` must have a row a sample in every entry (got {sizes} rows): transpose what has not")
    if parts < 1 or size % parts:
        raise ValueError(
            f"`parts` must divide the batch of {size} (got {parts}): a small part would weigh as a large one"
        )
    return [dict(zip(batch, rows, strict=True)) for rows in zip(*(v.chunk(parts) for v in batch.values()), strict=True)]


def inspected(
    losses: Model, params: Params, batches: Iterable[Batch], limit: float = 1.0, rate: float = 0.05
) -> tuple[Params, Log]:
    """Gradients are looked at before the step, and shortened to `limit`: one backward, nothing retained.

    `.grad` is there from `backward` until `zero_grad`. It is scaled here by limit / norm exactly, as in optax;
    `torch.nn.utils.clip_grad_norm_` divides by norm + 1e-6.
    """
    optimizer = torch.optim.SGD(params.values(), rate, MOMENTUM)
    log = []
    for batch in batches:
        optimizer.zero_grad()
        value = sum(losses(batch)(params).values())
        value.backward()
        grads = [p.grad for p in params.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        if norm > limit:
            for g in grads:
                g.mul_(limit / norm)
        optimizer.step()
        log.append({"value": value.item(), "norm": norm.item()})
    return params, log
