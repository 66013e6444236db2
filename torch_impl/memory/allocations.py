"""What operators return, counted until it dies: the same with tensors that have shapes and no memory."""

import weakref

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class Allocations(TorchDispatchMode):
    """Every storage that an operation returns, until it dies: `bytes` now and the `peak` so far.

    It sees what operations return, not what their kernels allocate and free inside: of a backward its peak is exact for
    products and pointwise operations, and too low for convolutions, LSTMs and a checkpoint's random state. Of a
    forward-mode derivative it may be too high: some operators take other steps under a dispatch mode. Where two
    cotangents meet, the engine adds in place if it holds the last reference, but never under a dispatch mode: it is
    done here.
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
        result = self.result(function, args, kwargs or {})
        least = args[0].nbytes if function is aten.mse_loss.default else 0  # its mean lies in its differences' storage
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf.untyped_storage(), least)
        return result

    def result(self, function, args: tuple, kwargs: dict):
        """What the operation returns; where shapes are enough, a subclass may know them at less cost."""
        return function(*args, **kwargs)

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


class Workspaces(Allocations):
    """On a GPU, also what each operator's kernels allocate and free: the most `inside`, by name, and the `whole` peak.

    What the libraries keep from call to call (cuBLAS's workspace) is there before, if the run is not the first.
    """

    def __init__(self, known: object = ()):
        super().__init__(known)
        self.inside: dict[str, int] = {}
        self.whole = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        torch.cuda.reset_peak_memory_stats()
        result = super().__torch_dispatch__(function, types, args, kwargs)
        stats = torch.cuda.memory_stats()
        inside = stats["requested_bytes.all.peak"] - stats["requested_bytes.all.current"]
        name = str(function).removesuffix(".default")
        self.inside[name] = max(inside, self.inside.get(name, 0))
        self.whole = max(self.whole, self.bytes + inside)
        return result


def _last_reference(tensor: Tensor) -> bool:
    """Whether only the engine's buffer still has this tensor, beside the four and two references of a dispatch."""
    storage = tensor.untyped_storage()
    return tensor._use_count() <= 4 and torch._C._storage_Use_Count(storage._cdata) <= 2


def _may_hold_the_sum(into: Tensor, other: object) -> bool:
    if not isinstance(other, Tensor) or into.shape != other.shape or not into.is_contiguous():
        return False
    return into.untyped_storage()._cdata != other.untyped_storage()._cdata
