"""The peak: the most bytes allocated at once, from the allocator's own events or from a run without memory."""

import gc
import weakref
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd import ProfilerConfig, ProfilerState, _disable_profiler_legacy, _enable_profiler_legacy
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


def peak(run: Callable[[], object], device: str = "cpu") -> int:
    """The most bytes that `run()` has allocated at one moment, beyond those that were there before it.

    On the CPU: the running total of the allocator's events, exact. On a GPU: `max_memory_allocated`, which counts
    what the caching allocator has handed out, workspaces included. Clear the gradients first: an earlier `.grad`
    that `run` frees would lower the total. ValueError where that takes it below zero; a release of memory that is
    older than the recording is not seen at all.

    >>> peak(lambda: torch.ones(100) + torch.ones(100))
    1200
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    sizes = _events(run)
    total = most = 0
    for size in sizes:
        total += size
        most = max(most, total)
        if total < 0:
            raise ValueError("`run` freed memory that was allocated before it: clear the gradients (`.grad = None`)")
    return most


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
    """Every allocation (+) and release (-) of `run()` in order.

    This is the profiler that starts in microseconds and prints nothing; torch.profiler's `[memory]` events are the
    same, take a second to start and write to stderr. The collector stands still: what it frees is not `run`'s.
    """
    collecting = gc.isenabled()
    options = torch._C._profiler._ExperimentalConfig()
    gc.disable()
    _enable_profiler_legacy(ProfilerConfig(ProfilerState.CPU, False, True, False, False, False, options))
    try:
        run()
    finally:
        threads = _disable_profiler_legacy()
        if collecting:
            gc.enable()
    found = [[event.cpu_memory_usage() for event in thread if event.kind() == "memory_alloc"] for thread in threads]
    if sum(map(bool, found)) > 1:
        raise RuntimeError("`run` allocates on several threads, whose events have no common order")
    return [size for thread in found for size in thread]


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
