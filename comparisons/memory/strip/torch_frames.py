"""PyTorch's frames: which saved tensors are alive before and after every backward of a strategy."""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from unittest.mock import patch

import torch

import torch_impl.memory
from comparisons.memory import sides
from comparisons.memory.strip.stage import Frames, Tensor, around, problem


def frames(strategy: str, device: str) -> tuple[dict, Frames]:
    """Tensors by key, and the frames. A key is a storage's address and a number: freed addresses are used again."""
    side = sides.torch_side("many_heads", problem(), strategy, device)
    ledger = torch_impl.memory.held([side.params, side.rest], side.batch)
    tensors: dict[tuple[int, int], Tensor] = {}
    now: dict[int, tuple[int, int]] = {}
    counts: Counter[int] = Counter()
    made: list[tuple[weakref.ref, str]] = []
    found: Frames = []

    def look(owner: str = "shared", outputs=None) -> set:
        """The keys alive; what is new belongs to `owner`, and what two forwards saved to both."""
        nonlocal counts
        saved = [s for s in ledger.saved(outputs) if s.kind == "activation"]
        before, counts = counts, Counter(s.storage for s in saved)
        for storage in now.keys() - counts.keys():
            del now[storage]
        for s in sorted(saved, key=lambda s: s.op):
            if s.storage not in now:
                now[s.storage] = (s.storage, len(tensors))
                tensors[now[s.storage]] = Tensor(owner, "", s.shape, s.bytes)
            known = tensors[now[s.storage]]
            if 0 < before[s.storage] < counts[s.storage]:
                known = known._replace(owner="shared")
            ops = {*filter(None, known.op.split(", ")), *filter(None, [s.op.lower()])}
            tensors[now[s.storage]] = known._replace(op=", ".join(sorted(ops)))
        return set(now.values())

    def wrap(owner, forward):
        def call(*args):
            value = forward(*args)
            look(owner)
            made.append((weakref.ref(value), owner))
            return value

        return call

    def mark(when: str, outputs) -> None:
        of = next((owner for value, owner in made if value() is outputs), "both").replace("shared", "both")
        found.append((f"{when} {of}", look(outputs={"": outputs} if when == "before" else None)))

    with ledger, _backwards(mark):
        sides.run(strategy, side._replace(losses=around(side.losses, wrap)))()
    found.append(("dropped", look()))
    return tensors, found


@contextmanager
def _backwards(mark: Callable) -> Iterator[None]:
    """`mark("before" or "after", outputs)` around every backward."""

    def watched(take):
        @wraps(take)
        def call(outputs, *args, **kwargs):
            mark("before", outputs)
            grads = take(outputs, *args, **kwargs)
            mark("after", outputs)
            return grads

        return call

    autograd = torch.autograd
    with (
        patch.object(autograd, "grad", watched(autograd.grad)),
        patch.object(autograd, "backward", watched(autograd.backward)),
    ):
        yield
