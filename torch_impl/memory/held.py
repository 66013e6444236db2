"""Held bytes: the saved tensors that are alive, while a graph is built, used and dropped."""

import re
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, saved_tensors_hooks
from torch.utils import _pytree as pytree

from torch_impl.first_order.tree import behind
from torch_impl.memory.listing import Listing, Saved

FUNCTIONAL = (
    "`held` cannot see into torch.func: its transforms refuse saved-tensor hooks; take the gradients with "
    "torch.autograd.grad, or measure `torch_impl.memory.peak`"
)


def held(params: object, inputs: object = ()) -> "Ledger":
    """A ledger of saved tensors, exact at any moment: what the forward kept, what each backward has released.

    >>> model, x = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)), torch.ones(4, 8)
    >>> with held(model, x) as ledger:
    ...     losses = {"size": (model(x) ** 2).mean()}
    >>> print(ledger.saved(losses))  # `print(ledger)` does without the nodes' and the losses' names
    144 B held for backward, beside 160 B of parameters and inputs
      128 B  float32[4, 8]  activation  Addmm, Tanh  size
      128 B  float32[4, 8]  input       Addmm        size
       32 B  float32[8, 1]  parameter   Addmm        size
       16 B  float32[4, 1]  activation  Pow          size
    >>> losses["size"].backward()
    >>> ledger.bytes
    0

    `params` and `inputs` are modules and tensors, or dicts and lists of them. They live without the graph, so their
    bytes are not counted; `ledger.saved(losses)` lists them too. Record the forward; what happens later is seen
    outside the block as well. Each saved tensor passes a pair of hooks, and its death is the death of a small box.
    Not seen: what an inner block of hooks takes over (`save_on_cpu`), what a checkpoint keeps to run again (the random
    state, the results that a policy saves), and what a custom function keeps as an attribute of `ctx`.
    """
    if hasattr(params, "opaque_residuals"):
        raise TypeError("`held` is for PyTorch (got a pullback of jax.vjp): take `jax_impl.memory.held(pullback)`")
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        raise RuntimeError("`held` cannot record inside a compiled function: put the block around its call")
    return Ledger(params, inputs)


class Ledger:
    """What `held` gives: `bytes` now, the `saved(losses)` tensors now, and `print` for either."""

    _recording = threading.local()  # as hooks are

    def __init__(self, params: object, inputs: object = ()):
        self._parameters, self._inputs = _storages("params", params), _storages("inputs", inputs)
        self._boxes: weakref.WeakSet[_Box] = weakref.WeakSet()
        plain = torch.compiler.disable  # else Dynamo compiles the hooks with the frames around; it loads in a second
        self._hooks = saved_tensors_hooks(plain(self._pack), plain(self._unpack))

    def __enter__(self) -> "Ledger":
        if hasattr(Ledger._recording, "ledger"):
            raise RuntimeError("`held` is already recording: leave that block first, hooks see only the inner of two")
        try:
            self._hooks.__enter__()
        except RuntimeError as error:
            raise _explained(error) from None
        Ledger._recording.ledger = self
        return self

    def __exit__(self, kind, error, traceback) -> None:
        del Ledger._recording.ledger
        self._hooks.__exit__(kind, error, traceback)
        if isinstance(error, RuntimeError) and _explained(error) is not error:
            raise _explained(error) from None

    @property
    def bytes(self) -> int:
        """The bytes of activations alive now, each storage counted once."""
        return sum(self._by_kind()["activation"].values())

    @property
    def kept(self) -> dict[str, int]:
        """The bytes alive now of each kind: `activation`, `parameter`, `input`."""
        return {kind: sum(storages.values()) for kind, storages in self._by_kind().items()}

    def saved(self, losses: Mapping[str, Tensor] | None = None) -> Listing:
        """Every saved tensor alive now, the largest first.

        With the losses' tensors it also says which node saved it and which losses reach it. A node that a backward has
        released reaches nothing. Looking unpacks nothing: a checkpoint does not run.
        """
        losses = {} if losses is None else losses
        named = isinstance(losses, Mapping) and all(isinstance(name, str) for name in losses)
        if not named or not all(isinstance(value, Tensor) for value in losses.values()):
            raise TypeError(
                f'`losses` should be a dict of named tensors, such as {{"loss": loss}} (got {_told(losses)})'
            )
        found: dict[_Box, dict[str, str]] = {box: {} for box in list(self._boxes)}
        for loss, value in losses.items():
            for node in behind(value):
                for box in found.keys() & _packed(node):
                    found[box][loss] = node.name()
        rows = [_saved(box, self._kind(box), owners) for box, owners in found.items()]
        return Listing(sorted(rows, key=lambda row: (-row.bytes, row.kind, row.storage)))

    def __str__(self) -> str:
        return str(self.saved())

    def _pack(self, tensor: Tensor) -> "_Box":
        if tensor.layout != torch.strided:
            raise TypeError(f"`held` counts the bytes of strided tensors (an operation saves a {tensor.layout} one)")
        box = _Box(tensor)
        self._boxes.add(box)
        return box

    def _unpack(self, box: "_Box") -> Tensor:
        if box.tensor._version != box.version:
            raise RuntimeError(
                f"a saved tensor of shape {list(box.tensor.shape)} was changed in place after the forward: it is at "
                f"version {box.tensor._version}, expected version {box.version}"
            )
        return box.tensor

    def _kind(self, box: "_Box") -> str:
        key = _key(box.tensor)
        return "parameter" if _has(self._parameters, key) else "input" if _has(self._inputs, key) else "activation"

    def _by_kind(self) -> dict[str, dict[int, int]]:
        found: dict[str, dict[int, int]] = {"activation": {}, "parameter": {}, "input": {}}
        for box in list(self._boxes):
            found[self._kind(box)][_key(box.tensor)] = box.tensor.untyped_storage().nbytes()
        return found


class _Box:
    """What the graph holds in a saved tensor's place. It is detached: an output that held its own node would leak."""

    __slots__ = ("__weakref__", "tensor", "version")

    def __init__(self, tensor: Tensor):
        self.tensor, self.version = tensor.detach(), tensor._version


def graph_bytes(losses: Mapping[str, Tensor], params: object, inputs: object = ()) -> int:
    """The bytes of activations that the losses' graphs hold now, read from the nodes' own attributes.

    A second instrument beside `held`: no hook, no recording, but only what a live loss still reaches. Python scalars,
    8 bytes each on the CPU, are left out: no hook sees them.
    """
    outside = {*_storages("params", params), *_storages("inputs", inputs)}
    found = {}
    for value in losses.values():
        for node in behind(value):
            for tensor in saved_tensors(node):
                if not _is_python_scalar(tensor):
                    found[_key(tensor)] = tensor.untyped_storage().nbytes()
    return sum(size for key, size in found.items() if key not in outside)


def _packed(node: Node) -> set[_Box]:
    """The boxes that a node keeps in its saved tensors' places."""
    raw = [getattr(node, name) for name in dir(node) if name.startswith("_raw_saved_")]
    return {saved.data for saved in pytree.tree_leaves(raw) if isinstance(saved.data, _Box)}


def saved_tensors(node: Node) -> list[Tensor]:
    """The tensors that a node keeps, under whatever names; none once a backward has released them."""
    found = []
    for name in dir(node):
        if name == "saved_tensors" or name.startswith("_saved_"):
            try:
                found += [leaf for leaf in pytree.tree_leaves(getattr(node, name)) if isinstance(leaf, Tensor)]
            except RuntimeError as error:
                if "after they have already been freed" not in str(error):
                    raise
    return found


def _is_python_scalar(tensor: Tensor) -> bool:
    """Whether a saved tensor is a number of the program, such as 2.0 in `2.0 * x`: only those give way to uint8."""
    return tensor.ndim == 0 and torch.result_type(torch.zeros((), dtype=torch.uint8), tensor) != tensor.dtype


def _storages(argument: str, tensors: object) -> dict[int, weakref.ref]:
    """By address, each with a weak reference: once it has died, another storage may have the address."""
    tree = list(tensors) if isinstance(tensors, Iterator) else tensors
    leaves = [own for leaf in pytree.tree_leaves(tree) for own in _own(leaf)]
    strange = [type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)]
    strange += [f"{leaf.layout} tensor" for leaf in leaves if isinstance(leaf, Tensor) and leaf.layout != torch.strided]
    if strange:
        raise TypeError(
            f"`{argument}` should be modules and strided tensors, or a dict or list of them (got a {strange[0]} in it)"
        )
    try:
        return {_key(leaf): weakref.ref(leaf.untyped_storage()) for leaf in leaves}
    except NotImplementedError:
        raise RuntimeError(FUNCTIONAL) from None


def _own(leaf: Any) -> list[Any]:
    return [*leaf.parameters(), *leaf.buffers()] if isinstance(leaf, nn.Module) else [leaf]


def _has(storages: dict[int, weakref.ref], key: int) -> bool:
    return key in storages and storages[key]() is not None


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _saved(box: _Box, kind: str, owners: dict[str, str]) -> Saved:
    tensor, size = box.tensor, box.tensor.untyped_storage().nbytes()
    op = re.sub(r"Backward\d*$", "", next(iter(owners.values()), ""))
    return Saved(op, tuple(tensor.shape), str(tensor.dtype)[6:], size, kind, tuple(owners), _key(tensor))


def _told(losses: object) -> str:
    if not isinstance(losses, Mapping):
        return f"a {type(losses).__name__}"
    strange = sorted({type(name).__name__ for name in losses if not isinstance(name, str)})
    if strange:
        return f"a dict with keys of {', '.join(strange)}"
    return "a dict of " + ", ".join(sorted({type(value).__name__ for value in losses.values()}))


def _explained(error: RuntimeError) -> RuntimeError:
    """PyTorch's refusal of hooks inside a torch.func transform, with the remedy."""
    if "support saved tensor hooks" not in str(error):
        return error
    return RuntimeError(FUNCTIONAL)
