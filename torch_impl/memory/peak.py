"""The peak: the most bytes allocated at once, from the allocator's own events or from a run without memory."""

import gc
import os
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from itertools import accumulate
from unittest.mock import patch

import torch
from torch import Tensor
from torch._C._profiler import ProfilerActivity, ProfilerConfig, ProfilerState, RecordScope, _ExperimentalConfig
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd import _disable_profiler, _enable_profiler, _prepare_profiler
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


def peak(run: Callable[[], object], device: str = "cpu") -> int:
    """The most bytes that `run()` has allocated at one moment, beyond those that were there before it.

    On the CPU: the running total of the allocator's events, exact; what `run` frees of older memory, such as an
    earlier `.grad`, does not lower it. On a GPU: `max_memory_allocated`, which counts what the caching allocator has
    handed out, workspaces included, and older memory too: clear the gradients first.

    >>> peak(lambda: torch.ones(100) + torch.ones(100))
    1200
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with _uncollected():
            run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    return max(accumulate(_events(run)), default=0)


def allocated(run: Callable[[], object], device: str = "cpu") -> int:
    """The bytes that `run()` leaves allocated, its result included, by the allocator's own count.

    It counts what saved-tensor hooks do not see, such as the cache of a selective checkpoint.

    >>> allocated(lambda: torch.ones(100) + torch.ones(100))
    400
    """
    kept: list[object] = []
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated(device)
        kept.append(run())
        return torch.cuda.memory_allocated(device) - before
    return sum(_events(lambda: kept.append(run())))


def _events(run: Callable[[], object]) -> list[int]:
    """Bytes that `run()` allocates (+), and releases (-) of what it allocated, in order.

    By address: the allocator also reports the release of what only an earlier recording saw. Operators are not
    recorded.
    """
    config = ProfilerConfig(ProfilerState.KINETO, False, True, False, False, False, _ExperimentalConfig())
    with patch.dict(os.environ, KINETO_LOG_LEVEL="99"):  # else it writes to stderr, where progress is shown
        _prepare_profiler(config, {ProfilerActivity.CPU})
        _enable_profiler(config, {ProfilerActivity.CPU}, {RecordScope.STATIC_RUNTIME_OP})
    try:
        with _uncollected():
            run()
    finally:
        recorded = _disable_profiler()
    alive: dict[int, int] = {}
    sizes = []
    for event in sorted(recorded.experimental_event_tree(), key=lambda event: event.start_time_ns):
        address, size = event.extra_fields.ptr, event.extra_fields.alloc_size
        if size > 0:
            alive[address] = size
        sizes.append(size if size > 0 else -alive.pop(address, 0))
    return sizes


@contextmanager
def _uncollected():
    """The garbage collector stands still: what it frees is not the run's."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


aten = torch.ops.aten


class Allocations(TorchDispatchMode):
    """Every storage that an operation returns, until it dies: `bytes` now and the `peak` so far.

    It sees what operations return, not what their kernels allocate and free inside: of a backward its peak is exact for
    products and pointwise operations, and too low for convolutions, LSTMs and a checkpoint's random state. Of a
    forward-mode derivative it is too high: PyTorch takes other steps there under a dispatch mode. Where two cotangents
    meet, the engine adds in place if it holds the last reference, but never under a dispatch mode: it is done here.
    """

    def __init__(self, known: object = ()):
        super().__init__()
        self.bytes = self.peak = 0
        self._live = {tensor.untyped_storage()._cdata for tensor in pytree.tree_leaves(known)}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.prim.device.default and isinstance(args[0], FakeTensor):
            return args[0].fake_device
        if function is aten.add.Tensor and torch._C._current_graph_task_id() != -1 and not torch.is_grad_enabled():
            for into, other in (args[:2], args[1::-1]):
                if _last_reference(into) and _may_hold_the_sum(into, other):
                    return into.add_(other)
        result = function(*args, **(kwargs or {}))
        least = args[0].nbytes if function is aten.mse_loss.default else 0  # its mean lies in its differences' storage
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.device.type != "meta":
                self._note(leaf.untyped_storage(), least)
        return result

    def _note(self, storage: torch.UntypedStorage, least: int) -> None:
        key, size = storage._cdata, max(storage.nbytes(), least)
        if key in self._live:
            return
        self._live.add(key)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._live.discard(key)
        self.bytes -= size


def _last_reference(tensor: Tensor) -> bool:
    """Whether only the engine's buffer still has this tensor, beside the four and two references of a dispatch."""
    storage = tensor.untyped_storage()
    return tensor._use_count() <= 4 and torch._C._storage_Use_Count(storage._cdata) <= 2


def _may_hold_the_sum(into: Tensor, other: object) -> bool:
    if not isinstance(other, Tensor) or into.shape != other.shape or not into.is_contiguous():
        return False
    return into.untyped_storage()._cdata != other.untyped_storage()._cdata


@contextmanager
def simulated():
    """Tensors made in this block have shapes and no memory: a ledger of any size on a machine of any size."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        yield
