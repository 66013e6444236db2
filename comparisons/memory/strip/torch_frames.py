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
from torch_impl.first_order.tree import behind
from torch_impl.memory.held import saved_tensors


def frames(strategy: str, device: str) -> tuple[dict, Frames]:
    """Tensors by key, and the frames. A key is a storage's address and a number: freed addresses are used again."""
    side = sides.torch_side("many_heads", problem(), strategy, device)
    ledger = torch_impl.memory.held([side.params, side.rest], side.batch)
    tensors: dict[tuple[int, int], Tensor] = {}
    now: dict[int, tuple[int, int]] = {}
    counts: Counter[int] = Counter()
    kept: dict[tuple[int, int], set[tuple[int, str]]] = {}
    made: list[tuple[weakref.ref, str]] = []
    found: Frames = []

    def look(owner: str = "shared") -> set:
        """The keys alive; what is new belongs to `owner`, and what two forwards saved to both."""
        nonlocal counts
        saved = [s for s in ledger.saved() if s.kind == "activation"]
        before, counts = counts, Counter(s.storage for s in saved)
        for storage in now.keys() - counts.keys():
            del now[storage]
        for s in saved:
            if s.storage not in now:
                now[s.storage] = (s.storage, len(tensors))
                tensors[now[s.storage]] = Tensor(owner, "", s.shape, s.bytes)
            if 0 < before[s.storage] < counts[s.storage]:
                tensors[now[s.storage]] = tensors[now[s.storage]]._replace(owner="shared")
        return set(now.values())

    def name(outputs) -> None:
        """Which nodes keep each tensor, and the number of the first of them: nodes are numbered as they are made."""
        several = outputs if isinstance(outputs, list) else [outputs]
        for node in dict.fromkeys(node for output in several for node in behind(output)):
            first = node._sequence_nr(), node.name().removesuffix("Backward0").lower()
            for tensor in saved_tensors(node):
                key = now.get(tensor.untyped_storage()._cdata)
                if key:
                    kept.setdefault(key, set()).add(first)

    def wrap(owner, forward):
        def call(*args):
            value = forward(*args)
            look(owner)
            made.append((weakref.ref(value), owner))
            return value

        return call

    def mark(when: str, outputs) -> None:
        several = outputs if isinstance(outputs, list) else [outputs]
        owners = {owner for value, owner in made if any(value() is output for output in several)}
        of = "heads" if len(owners) > 1 else "".join(owners) or "both"
        of = of.replace("shared", "both")
        found.append((f"{when} {of}", look()))
        if when == "before":
            name(outputs)

    with ledger, _backwards(mark):
        sides.run(strategy, side._replace(losses=around(side.losses, wrap)))()
    found.append(("dropped", look()))
    ordered = sorted(tensors, key=lambda key: min(kept.get(key, {(0, "")})))
    ops = {key: ", ".join(sorted({op for _, op in kept.get(key, ())})) for key in ordered}
    return {key: tensors[key]._replace(op=ops[key]) for key in ordered}, found


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
