"""What the notebooks share: sources shown, bytes counted, predictions and exercises compared with what is measured."""

import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import torch
from IPython.display import Markdown, display
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # from a clone, without an install


def show(*functions: Callable) -> None:
    """Each function's source as it stands in its file, under the file's name."""
    for function in functions:
        path = Path(inspect.getsourcefile(function) or "").resolve().relative_to(ROOT)
        display(Markdown(f"`{path}`\n```python\n{inspect.getsource(function)}```"))


class Box:
    """What a graph holds in place of a tensor: it dies when the graph lets go."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor.detach()


class Held:
    """The storages that a recorded graph holds at the moment, each once; called, how many bytes that is."""

    def __init__(self, aside: tuple[torch.Tensor, ...]):
        self.boxes: weakref.WeakSet[Box] = weakref.WeakSet()
        self.aside = {tensor.untyped_storage().data_ptr() for tensor in aside}

    def storages(self) -> dict[int, int]:
        found = [box.tensor.untyped_storage() for box in self.boxes]
        return {s.data_ptr(): s.nbytes() for s in found if s.data_ptr() not in self.aside}

    def __call__(self) -> int:
        return sum(self.storages().values())


@contextmanager
def saving(*aside: torch.Tensor) -> Iterator[Held]:
    """Record graphs inside the block; `held()`, then and later, is how many bytes they hold for backward.

    Tensors in `aside` (parameters, inputs: they live anyway) do not count.
    """
    held = Held(aside)

    def pack(tensor: torch.Tensor) -> Box:
        box = Box(tensor)
        held.boxes.add(box)
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
        yield held


def residuals(pullback) -> int:
    """How many bytes a pullback holds beside its arguments."""
    return sum(array.nbytes for array in jax.tree.leaves(getattr(pullback, "opaque_residuals", pullback)))


class Flops(TorchDispatchMode):
    """Floating-point operations of the products that run inside the block, forward and backward."""

    count = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        out = op(*args, **(kwargs or {}))
        if op.overloadpacket in flop_registry:
            self.count += flop_registry[op.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def compare(prediction, measured) -> None:
    """What the reader predicted, beside what was measured."""
    shown = sorted(measured) if isinstance(measured, set) else measured
    if prediction is None:
        verdict = "you have not predicted yet"
    else:
        verdict = "as you predicted" if prediction == measured else f"you predicted {prediction}"
    print(f"measured: {shown} ({verdict})")


def check(exercise: Callable, answer) -> None:
    """The verdict on an answer, by the exercise's own check."""
    print("Not answered yet." if answer is None else exercise(answer))


def raises(function: Callable, *arguments, **options) -> str | None:
    """The first sentence of the error that the call raises, or None."""
    try:
        function(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0].split('. ')[0]}"
    return None
