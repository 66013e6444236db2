"""What operators return, counted until it dies: the same with tensors that have shapes and no memory."""

import os
import sys
import weakref
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._prims_common import is_non_overlapping_and_dense_or_false
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.graph import _engine_run_backward
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from torch_impl.memory.peak import settle

aten = torch.ops.aten
ENGINE, TORCH = _engine_run_backward.__code__, os.path.join(os.path.dirname(torch.__file__), "")


class Allocations(TorchDispatchMode):
    """Every storage that an operation returns, until it dies: `bytes` now and the `peak` so far.

    `known` tensors lie there before and are not counted. `device` says whose memory is counted: a GPU's is without what
    lies on the CPU. On the CPU the random state that a checkpoint keeps is counted too, though no operation returns it.

    What kernels allocate and free inside is not seen: the peak is exact for products and pointwise operations of
    tensors, 12 B too low where one takes a number of the program or a mean is taken (and 8 B for each such number that
    autograd saves), and too low for convolutions, normalizations, and backwards that make an expanded cotangent
    contiguous. It may be too high where operators take other steps under a dispatch mode: in forward mode, and in
    backwards of indexing, `max` and `prod`. One more such step is known and set right: PyTorch adds in place where two
    cotangents meet and the engine holds the last reference, and where a linear map of more than two dimensions adds its
    bias, but never under a dispatch mode. One block at a time in a process.
    """

    def __init__(self, known: object = (), device: str = "cpu"):
        super().__init__()
        self.bytes = self.peak = 0
        self._elsewhere = "cpu" if torch.device(device).type != "cpu" else None
        self._live = {tensor.untyped_storage()._cdata for tensor in pytree.tree_leaves(known)}
        self._product: Callable[[], Tensor | None] = _none
        self._states: Any = None

    def __enter__(self):
        if self._states:
            raise RuntimeError("these `Allocations` are already recording: leave that block first")
        self._states = patch.object(torch, "get_rng_state", self._noted(torch.get_rng_state))
        self._states.start()
        return super().__enter__()

    def __exit__(self, *raised) -> None:
        self._states.stop()
        self._states = None
        self._reach()
        super().__exit__(*raised)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.prim.device.default and isinstance(args[0], FakeTensor):
            return args[0].fake_device
        self._reach()
        in_place = function is aten.add.Tensor and not kwargs and self._added_in_place(*args)
        self._product = _none
        result = self.result(function, args, kwargs or {})
        if function is aten._unsafe_view.default:
            self._product = weakref.ref(result)
        least = args[0].nbytes if function is aten.mse_loss.default else 0  # its mean lies in its differences' storage
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, Tensor) and not torch._is_zerotensor(leaf):
                self._note(leaf.untyped_storage(), least)
        if not in_place:  # else what it would have been added into must be gone when the next operation begins
            self._reach()
        return result

    def result(self, function, args: tuple, kwargs: dict):
        """What the operation returns; where shapes are enough, a subclass may know them at less cost."""
        return function(*args, **kwargs)

    def _added_in_place(self, into: Tensor, other: object) -> bool:
        """Whether PyTorch, but for the dispatch mode, would keep the sum in the first's storage, or in the second's."""
        if into is self._product():
            return _held_by_its_caller(into) and _is_bias(other, into)
        if torch.is_grad_enabled() or not isinstance(other, Tensor) or not _called_by_the_engine():
            return False
        return any(_last_reference(x) and _may_hold_the_sum(x, y) for x, y in ((into, other), (other, into)))

    def _reach(self) -> None:
        self.peak = max(self.peak, self.bytes)

    def _noted(self, take: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def state() -> Tensor:
            found = take()
            self._note(found.untyped_storage())
            self._reach()
            return found

        return state

    def _note(self, storage: torch.UntypedStorage, least: int = 0) -> None:
        key, size = storage._cdata, max(storage.nbytes(), least)
        if key in self._live or storage.device.type == self._elsewhere:
            return
        self._live.add(key)
        self.bytes += size
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._live.discard(key)
        self.bytes -= size


class Workspaces(Allocations):
    """On a GPU, also what each operator's kernels allocate and free: the most `inside`, by name, and the `whole` peak.

    What the libraries keep from call to call (cuBLAS's workspace) is there before, if the run is not the first.
    """

    def __init__(self, known: object = ()):
        super().__init__(known, "cuda")
        self.inside: dict[str, int] = {}
        self.whole = 0

    def __enter__(self):
        settle("cuda")
        return super().__enter__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        torch.cuda.reset_peak_memory_stats()
        result = super().__torch_dispatch__(function, types, args, kwargs)
        stats = torch.cuda.memory_stats()
        inside = stats["requested_bytes.all.peak"] - stats["requested_bytes.all.current"]
        name = str(function).removesuffix(".default")
        self.inside[name] = max(inside, self.inside.get(name, 0))
        # Never more than the peak so far: a sum that is kept in place is counted when the next operation begins.
        self.whole = max(self.whole, min(self.bytes, self.peak) + inside)
        return result

    def __exit__(self, *raised) -> None:
        super().__exit__(*raised)
        self.whole = max(self.whole, self.peak)


def _none() -> None:
    """A reference to nothing."""


def _held_by_its_caller(tensor: Tensor) -> bool:
    """Whether C++ holds the tensor, beside the three references of a dispatch and of Python."""
    return tensor._use_count() == 4


def _is_bias(other: object, of: Tensor) -> bool:
    return isinstance(other, Tensor) and other.dtype == of.dtype and other.shape == of.shape[-1:]


def _called_by_the_engine() -> bool:
    """Whether no Python but PyTorch's own is between it and the operator: no hook, no backward of a reader's."""
    if torch._C._current_graph_task_id() == -1:
        return False
    frame: FrameType | None = sys._getframe(2)
    while frame and frame.f_code is not ENGINE and _is_passed_through(frame.f_code):
        frame = frame.f_back
    return frame is None or frame.f_code is ENGINE


def _is_passed_through(code: CodeType) -> bool:
    return code.co_name == "__torch_dispatch__" or code.co_filename.startswith(TORCH)


def _last_reference(tensor: Tensor) -> bool:
    """Whether only the engine's buffer still has this tensor, beside the four and two references of a dispatch."""
    storage = tensor.untyped_storage()
    return tensor._use_count() <= 4 and torch._C._storage_Use_Count(storage._cdata) <= 2


def _may_hold_the_sum(into: Tensor, other: Tensor) -> bool:
    if (into.shape, into.dtype) != (other.shape, other.dtype) or not is_non_overlapping_and_dense_or_false(into):
        return False
    return into.untyped_storage()._cdata != other.untyped_storage()._cdata
