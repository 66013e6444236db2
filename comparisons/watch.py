"""Instruments that see inside: what a call raises and where, what a PyTorch graph holds, what a pullback holds."""

import gc
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import torch
from torch import Tensor, autograd

from torch_impl.first_order.tree import behind


class Raised(NamedTuple):
    """What a call raises: the exception's name, the first line of its text, and the graph node or line it came from."""

    kind: str
    message: str
    at: str | None

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.kind else self.message


NOTHING = Raised("", "no error", None)


def raised(call: Callable[[], object]) -> Raised:
    """What `call` raises, or NOTHING.

    Anomaly mode names the PyTorch node that raised; where none did, it is the last line of torch_impl or jax_impl.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with autograd.set_detect_anomaly(True, check_nan=False):
                call()
        except Exception as error:  # whatever a framework raises is what is looked for
            found = error
        else:
            return NOTHING
    told = [str(w.message) for w in caught]
    nodes = [text.split()[3].rstrip(".") for text in told if text.startswith("Error detected in ")]
    frames = traceback.extract_tb(found.__traceback__)
    lines = [frame.line for frame in frames if Path(frame.filename).parent.parent.name in ("torch_impl", "jax_impl")]
    message = str(found).strip().splitlines()[0]
    return Raised(type(found).__name__, message, nodes[0] if nodes else lines[-1] if lines else None)


@contextmanager
def warned() -> Iterator[list[warnings.WarningMessage]]:
    """What this block warns of, also where PyTorch would say so once a process and has already."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        torch.set_warn_always(always)


class Saved:
    """The tensors that a graph holds for its backward: how many were packed, and the bytes alive now and at most.

    A storage counts once; those in `apart` (parameters and inputs, which live anyway) do not count.
    """

    def __init__(self, apart: Iterable[Tensor] = ()):
        self.packed = 0
        self.peak = 0
        self._apart = {t.untyped_storage().data_ptr() for t in apart}
        self._boxes: dict[int, tuple[int, int]] = {}

    @property
    def bytes(self) -> int:
        return sum(dict(self._boxes.values()).values())

    def pack(self, tensor: Tensor) -> "_Box":
        box, storage = _Box(tensor.detach()), tensor.untyped_storage()
        self.packed += 1
        if storage.data_ptr() not in self._apart:
            self._boxes[id(box)] = (storage.data_ptr(), storage.nbytes())
            weakref.finalize(box, self._boxes.pop, id(box))
        self.peak = max(self.peak, self.bytes)
        return box


class _Box:
    """What the graph keeps in a saved tensor's place; its own death tells when the graph lets go."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


@contextmanager
def saved(*apart: Tensor) -> Iterator[Saved]:
    """Watch what the forwards in this block save."""
    watch = Saved(apart)
    with autograd.graph.saved_tensors_hooks(watch.pack, lambda box: box.tensor):
        yield watch


def nodes(*outputs: Tensor) -> dict:
    """Every node of the graphs behind the outputs, with its name."""
    every = (node for output in outputs for node in behind(output))
    return {node: node.name().removeprefix("torch::autograd::") for node in every}


def residual_bytes(pullback, *apart: jax.Array) -> int:
    """Bytes of the arrays that a pullback holds beside `apart` (parameters and inputs, which live anyway)."""
    known = {array.unsafe_buffer_pointer() for array in apart}
    leaves = [leaf for leaf in jax.tree.leaves(pullback) if isinstance(leaf, jax.Array)]
    held = {leaf.unsafe_buffer_pointer(): leaf.nbytes for leaf in leaves}
    return sum(size for pointer, size in held.items() if pointer not in known)


def same(a, b, tolerance: float = 1e-6) -> bool:
    """Equal shapes and values, within `tolerance` of the larger side's largest value (0: bit by bit)."""
    a, b = (np.asarray(x.detach() if isinstance(x, Tensor) else x) for x in (a, b))
    if a.shape != b.shape:
        return False
    if not tolerance:
        return np.array_equal(a, b)
    return bool(abs(a - b).max(initial=0) <= tolerance * max(abs(a).max(initial=0), abs(b).max(initial=0)))


def gone(reference: weakref.ref) -> bool:
    gc.collect()
    return reference() is None


def numbers(values) -> str:
    """A few numbers as a reader writes them: [3, 3], [nan, 3]."""
    array = np.asarray(values.detach() if isinstance(values, Tensor) else values, dtype=float)
    return "[" + ", ".join(f"{x:.4g}" for x in array.ravel()[:6]) + (", ..." if array.size > 6 else "") + "]"
