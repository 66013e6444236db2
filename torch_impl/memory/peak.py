"""The peak: the most bytes allocated at once, by the allocator's own account."""

import gc
import os
from collections.abc import Callable
from contextlib import contextmanager
from itertools import accumulate
from unittest.mock import patch

import torch
from torch._C._profiler import ProfilerActivity, ProfilerConfig, ProfilerState, RecordScope, _ExperimentalConfig
from torch.autograd import _disable_profiler, _enable_profiler, _prepare_profiler


def peak(run: Callable[[], object], device: str = "cpu") -> int:
    """The most bytes that `run()` has allocated at one moment, beyond those that were there before it.

    On the CPU: the running total of the allocator's events, exact; what `run` frees of older memory, such as an
    earlier `.grad`, does not lower it, and a thread that `run` starts is not seen. On a GPU: `max_memory_allocated`,
    which counts what the caching allocator has handed out, workspaces included, and older memory too: clear the
    gradients first.

    >>> peak(lambda: torch.ones(100) + torch.ones(100))
    1200
    """
    if _is_gpu(device):
        return _on_gpu(run, device, "allocated_bytes")
    return max(accumulate(_events(run)), default=0)


def requested(run: Callable[[], object], device: str = "cuda") -> int:
    """`peak` on a GPU of what was asked for: `max_memory_allocated` less what the allocator rounds blocks up by."""
    if not _is_gpu(device):
        raise ValueError(f"`requested` reads a GPU's allocator (got {device!r}): on the CPU take `peak`")
    return _on_gpu(run, device, "requested_bytes")


def _is_gpu(device: str) -> bool:
    kind = torch.device(device).type
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"`device` should be cpu or cuda (got {device!r}): no other allocator is read here")
    if kind == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(f"PyTorch sees no GPU here (`device` is {device!r}): leave it out to measure on the CPU")
    return kind == "cuda"


def _on_gpu(run: Callable[[], object], device: str, counted: str) -> int:
    """What is garbage must be gone before: released during the run, it would lower the figure."""
    settle(device)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_stats(device)[f"{counted}.all.current"]
    with _uncollected():
        run()
    torch.cuda.synchronize(device)
    return torch.cuda.memory_stats(device)[f"{counted}.all.peak"] - before


def settle(device: str) -> None:
    """On a GPU, what nobody needs goes: garbage, and a backward's tensors, which its thread keeps until the next."""
    gc.collect()
    nothing = torch.empty(0, device=device, requires_grad=True)
    torch.autograd.grad(nothing.clone(), nothing, torch.empty(0, device=device))


def allocated(run: Callable[[], object], device: str = "cpu") -> int:
    """The bytes that `run()` leaves allocated, its result included, by the allocator's own count.

    It counts what saved-tensor hooks do not see, such as the cache of a selective checkpoint.

    >>> allocated(lambda: torch.ones(100) + torch.ones(100))
    400
    """
    kept: list[object] = []
    if _is_gpu(device):
        settle(device)
        before = torch.cuda.memory_allocated(device)
        kept.append(run())
        settle(device)
        return torch.cuda.memory_allocated(device) - before
    return sum(_events(lambda: kept.append(run())))


def _events(run: Callable[[], object]) -> list[int]:
    """Bytes that `run()` allocates (+), and releases (-) of what it allocated, in order.

    By address: the allocator also reports the release of what only an earlier recording saw. Operators are not
    recorded.
    """
    if torch._C._autograd._profiler_enabled():
        raise RuntimeError("`peak` is already recording, or another profiler is: leave that block first")
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
