"""What a simulation counts: what operators return, by shape alone, and what a number of the program takes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from unittest.mock import patch

import torch
from torch import Tensor

from torch_impl.memory import Allocations

aten = torch.ops.aten
NUMBER, CAST = 8, 4  # the bytes of a number that an operator is given as a tensor, and of the same in float32
WITH_NUMBERS = (aten.add, aten.sub, aten.rsub, aten.mul, aten.div)


class Shapes(Allocations):
    """Allocations of tensors without memory, and on the CPU the few bytes that operators of the digits take inside."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = super().__torch_dispatch__(function, types, args, kwargs)
        if self._elsewhere is None and (inside := _inside(function, args)):
            self.peak = max(self.peak, self.bytes + inside)
        return result

    def result(self, function, args: tuple, kwargs: dict):
        """These shapes PyTorch finds in milliseconds, by decomposition."""
        if function is aten.native_layer_norm_backward.default:
            _, x, _, _, _, weight, bias, wanted = args
            return tuple(
                torch.empty_like(y) if given else None for y, given in zip((x, weight, bias), wanted, strict=True)
            )
        if function in (aten.gelu_backward.default, aten._softmax_backward_data.default):
            return torch.empty_like(args[0])
        return super().result(function, args, kwargs)


def _inside(function, args: tuple) -> int:
    """The bytes, beyond its result, that an operator of the CPU takes and gives back: of those in the models' losses.

    A mean divides by a number.
    """
    if function is aten.mean.default:
        return NUMBER + CAST
    if function is aten.mse_loss.default:
        return args[0].nbytes + NUMBER + CAST
    if function.overloadpacket in WITH_NUMBERS and any(map(_is_number, args[:2])):
        node = torch._C._current_autograd_node()
        saved = node is not None and node.metadata.get("number") is not None
        return CAST if saved else NUMBER + CAST
    return 0


@contextmanager
def numbers_saved() -> Iterator[None]:
    """What autograd saves of `2 * x` and `x / 2` is counted: the 2, which no operator returns and no hook sees."""
    with (
        patch.object(Tensor, "__mul__", _saving(Tensor.__mul__)),
        patch.object(Tensor, "__rmul__", _saving(Tensor.__rmul__)),
        patch.object(Tensor, "__truediv__", _saving(Tensor.__truediv__)),
    ):
        yield


def _saving(take: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operation, whose node has another 8 B for as long as it has its own saved tensors."""

    @wraps(take)
    def taken(x: Tensor, y: object) -> Tensor:
        result = take(x, y)
        if _is_number(y) and result.grad_fn:
            saved = result.grad_fn.metadata
            saved["number"] = torch.empty(NUMBER, dtype=torch.uint8, device="cpu")
            result.grad_fn.register_hook(lambda *_: None if _graph_is_kept() else saved.update(number=None))
        return result

    return taken


def _graph_is_kept() -> bool:
    return torch._C._autograd._get_current_graph_task_keep_graph()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))
