"""A long sequence in chunks: the state goes on, the gradient does not.

The network reads image rows, (B, T, 8), and predicts the row that follows; a batch has `rows` and `following`, and
its state begins where the batch before it ended.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_impl.models.losses import Batch, Params
from torch_impl.training.per_loss import MOMENTUM, Log


def chunk_loss(params: Params, state: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The mean squared error over the chunk's rows, and the state after them, (B, width)."""
    errors = []
    for row, following in zip(batch["rows"].unbind(1), batch["following"].unbind(1), strict=True):
        inputs = F.linear(row, params["read.weight"])
        state = torch.tanh(inputs + F.linear(state, params["state.weight"], params["state.bias"]))
        errors.append(F.mse_loss(F.linear(state, params["predict.weight"], params["predict.bias"]), following))
    return torch.stack(errors).mean(), state


def truncated(params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """One step for each chunk: `state.detach()` carries the value over and leaves the graph behind."""
    optimizer = torch.optim.SGD(params.values(), rate, MOMENTUM)
    state, log = None, []
    for batch in batches:
        state = start(params, batch) if state is None else state.detach()
        value, state = chunk_loss(params, state, batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        log.append({"value": value.item()})
    return params, log


def truncated_accumulated(
    params: Params, batches: Iterable[Batch], length: int = 4, rate: float = 0.05
) -> tuple[Params, Log]:
    """One step for each batch, whose gradient is cut every `length` rows: one short graph is alive at a time.

    Each chunk's backward frees its graph and adds into `.grad`; no chunk reaches into the one before.
    """
    optimizer = torch.optim.SGD(params.values(), rate, MOMENTUM)
    state, log = None, []
    for batch in batches:
        state = start(params, batch) if state is None else state
        optimizer.zero_grad()
        total, parts = 0.0, chunks(batch, length)
        for part in parts:
            value, state = chunk_loss(params, state.detach(), part)
            (value / len(parts)).backward()
            total += value.item() / len(parts)
        optimizer.step()
        log.append({"value": total})
    return params, log


def truncated_wrong(params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """RuntimeError at the second chunk: its backward runs on into the first chunk's graph, which is gone."""
    return _undetached(params, batches, rate, retain_graph=False)


def truncated_wrong_retained(params: Params, batches: Iterable[Batch], rate: float = 0.05) -> tuple[Params, Log]:
    """RuntimeError at the second chunk again: the step has written over the weights that the first graph saved."""
    return _undetached(params, batches, rate, retain_graph=True)


def _undetached(params: Params, batches: Iterable[Batch], rate: float, retain_graph: bool) -> tuple[Params, Log]:
    """The state goes from chunk to chunk with its graph."""
    optimizer = torch.optim.SGD(params.values(), rate, MOMENTUM)
    state, log = None, []
    for batch in batches:
        state = start(params, batch) if state is None else state
        value, state = chunk_loss(params, state, batch)
        optimizer.zero_grad()
        value.backward(retain_graph=retain_graph)
        optimizer.step()
        log.append({"value": value.item()})
    return params, log


def start(params: Params, batch: Batch) -> Tensor:
    """The state before the first row: zeros."""
    return torch.zeros_like(params["state.bias"]).expand(len(batch["rows"]), -1)


def chunks(batch: Batch, length: int) -> list[Batch]:
    """The batch in chunks of `length` rows, in order."""
    rows = batch["rows"].shape[1]
    if length < 1 or rows % length:
        raise ValueError(f"`length` must divide the {rows} rows of a batch (got {length})")
    pairs = zip(batch["rows"].split(length, 1), batch["following"].split(length, 1), strict=True)
    return [{"rows": rows, "following": following} for rows, following in pairs]
