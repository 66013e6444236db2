"""A strategy watched from outside: what is held when its backwards begin, and after each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from unittest.mock import patch

import torch

from torch_impl.memory.held import Ledger


@contextmanager
def phases(ledger: Ledger) -> Iterator[list[tuple[str, int]]]:
    """Marks of held bytes: `forward` when the first backward begins, then `backward 1`, `backward 2` ... as each ends.

    The list grows while the block runs. A backward is a call of `torch.autograd.grad` or of `Tensor.backward`.
    RuntimeError inside another such block, which would count every backward twice.
    """
    if hasattr(torch.autograd.grad, "__wrapped__"):
        raise RuntimeError("`phases` is already recording: leave that block first")
    marks: list[tuple[str, int]] = []

    def watched(take):
        @wraps(take)
        def call(*args, **kwargs):
            if not marks:
                marks.append(("forward", ledger.bytes))
            found = take(*args, **kwargs)
            marks.append((f"backward {len(marks)}", ledger.bytes))
            return found

        return call

    autograd = torch.autograd
    with (
        patch.object(autograd, "grad", watched(autograd.grad)),
        patch.object(autograd, "backward", watched(autograd.backward)),
    ):
        yield marks
