"""How many arrays an operation keeps for its backward."""

import torch

from torch_impl.memory.held import held


def per_tanh(depth: int = 4, n: int = 1024) -> dict[str, int]:
    """A tanh keeps one array, its output: the derivative is made from it."""
    x = torch.zeros(n, requires_grad=True)
    with held(x) as ledger:
        y = x
        for _ in range(depth):
            y = torch.tanh(y)
    return {"array": 4 * n, "held": ledger.bytes}


def per_dense_tanh(depth: int = 4, batch: int = 16, width: int = 16) -> dict[str, int]:
    """Dense tanh layers keep one array each, whatever their shape: tanh's output is also the next product's input."""
    weights, x = [torch.zeros(width, width, requires_grad=True) for _ in range(depth)], torch.zeros(batch, width)
    with held(weights, x) as ledger:
        y = x
        for w in weights:
            y = torch.tanh(y @ w)
        loss = (y**2).mean()
    figures = {"array": x.nbytes, "held": ledger.bytes}
    del loss
    return figures
