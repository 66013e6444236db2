"""What a computation costs: operations counted, and when its result is there."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


def flops(function: Callable, *args) -> int:
    """The multiplications and additions of every matrix product and convolution that `function(*args)` runs.

    Counted as the operators are dispatched, by PyTorch's own formulas, backward included, elementwise work left out.
    A fused operator without a formula counts as nothing: a float32 LSTM on the CPU is one (take float64). A grouped
    convolution's backward counts for more than it is.
    """
    with _Counter() as counter:
        function(*args)
    return counter.total


def ready(result):
    """`result`, once it is there: a CPU computes before it returns, a GPU is waited for."""
    if torch.cuda.is_initialized() and any(isinstance(leaf, Tensor) and leaf.is_cuda for leaf in tree_leaves(result)):
        torch.cuda.synchronize()
    return result


aten = torch.ops.aten
FORMULAS = flop_registry | {  # which lacks products with a vector
    aten.mv: lambda a, x, out_val: 2 * a.numel(),
    aten.addmv: lambda y, a, x, out_val, **scales: 2 * a.numel(),
    aten.dot: lambda x, y, out_val: 2 * x.numel(),
}


class _Counter(TorchDispatchMode):
    """`FlopCounterMode` without its module tracker, whose hooks refuse `autograd.grad` with respect to a leaf."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in FORMULAS:
            self.total += FORMULAS[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result
