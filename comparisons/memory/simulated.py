"""The same ledger with no allocation: shapes alone, on each side's own instruments, at any size."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module

import jax
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import jax_impl.first_order
import jax_impl.memory
from comparisons.frameworks import compiled, jax_scope
from comparisons.layout import to_flax
from comparisons.memory import sides
from comparisons.memory.predictions import PULLED_TRUNK, PULLED_WHOLE
from comparisons.memory.shapes import Shapes, numbers_saved
from comparisons.memory.sides import Side
from comparisons.problems import Problem
from comparisons.scenarios import STRATEGIES
from jax_impl.memory.peak import Plan

Marks = list[tuple[str, int]]
EXACT, LOWER = "exact", "lower bound"
PULLED = (*PULLED_WHOLE, *PULLED_TRUNK)


def bound(name: str) -> str:
    """What a simulated PyTorch peak is to the measured one: a convolution's kernels take more inside, at the peak."""
    return LOWER if name == "conv" else EXACT


def torch_side(name: str, shapes: Problem, strategy: str, device: str = "meta") -> Side:
    """Leaves without memory."""
    empty = partial(torch.empty, device=device)
    params = {key: empty(value.shape, requires_grad=True) for key, value in shapes.params.items()}
    kinds = {"f": torch.float32, "i": torch.int64}
    batch = {key: empty(value.shape, dtype=kinds[value.dtype.kind]) for key, value in shapes.batch.items()}
    rest = ({key: empty(value.shape) for key, value in params.items()},) if _along(strategy) else ()
    return Side(import_module(f"torch_impl.models.{name}").losses(batch), params, batch, rest)


def jax_side(name: str, shapes: Problem, strategy: str) -> Side:
    """Shapes in place of arrays, and the strategy's losses still to be made of the batch."""
    params = {key: _shape(value) for key, value in to_flax(shapes.params, shapes.layout).items()}
    batch = {key: _shape(value) for key, value in shapes.batch.items()}
    return Side(import_module(f"jax_impl.models.{name}").losses, params, batch, (params,) if _along(strategy) else ())


def in_torch(name: str, shapes: Problem, strategy: str, device: str = "cpu") -> tuple[Marks, int, int, str]:
    """Marks at every phase, the peak beyond the arguments, the arguments' bytes, and why there are no marks.

    An LSTM picks its operators by the device, and a checkpoint keeps the CPU's random state: theirs are fake tensors.
    """
    fake = name == "recurrent" or (strategy, device) == ("summed_checkpointed", "cpu")
    with _fake() if fake else nullcontext():
        side = torch_side(name, shapes, strategy, device if fake else "meta")
        with torch.no_grad():
            side.losses.trunk(side.params)  # the modules, made once, lie on the meta device too: they are no allocation
        marks: Marks = []
        why = ""
        with Shapes(side.arrays, device) as seen, numbers_saved():
            try:
                marks = sides.torch_phases(strategy, side)
            except RuntimeError as error:
                if "torch.func" not in str(error):
                    raise
                why = str(error)
        if why:
            with Shapes(side.arrays, device) as seen, numbers_saved():
                sides.run(strategy, side)()
        return marks, seen.peak, sides.nbytes(side.arrays), why


@contextmanager
def _fake() -> Iterator[None]:
    """Tensors on a device are made without memory here. They dispatch at half the speed of meta tensors.

    NotImplementedError where a number is read that they have not, as in the `jacrev` of PyTorch 2.11.
    """
    try:
        with FakeTensorMode(allow_non_fake_inputs=False):
            yield
    except DataDependentOutputException as error:
        raise NotImplementedError(f"PyTorch {torch.__version__} reads a value here: {error}") from error


def in_jax(name: str, shapes: Problem, strategy: str) -> tuple[Marks, int, int]:
    """Marks at every phase, the arguments' bytes and the results'; a strategy that leaves no pullback is not traced."""
    side = jax_side(name, shapes, strategy)
    take = getattr(jax_impl.first_order, strategy)
    marks: Marks = []
    if strategy in PULLED:
        with jax_impl.memory.phases() as (marks, ledgers):
            jax.eval_shape(lambda batch, params: take(side.losses(batch), params), side.batch, side.params)
        marks = [*marks, ("dropped", sum(ledger.bytes for ledger in ledgers))]
    return marks, _bytes(side.arrays), _results(side, strategy, len(shapes.losses))


def _results(side: Side, strategy: str, losses: int) -> int:
    gives = STRATEGIES[strategy].gives
    if gives == "features":
        z = jax.eval_shape(lambda batch, params: side.losses(batch).trunk(params), side.batch, side.params)
        return losses * _bytes(z)
    return {"total": _bytes(side.params), "per_loss": losses * _bytes(side.params), "along": 4 * losses}[gives]


def plan(name: str, shapes: Problem, strategy: str) -> Plan:
    """The compiled plan, from shapes; nothing runs, but the compiler takes its time."""
    side = jax_side(name, shapes, strategy)
    with jax_scope(sides.DTYPE, "cpu"):
        return jax_impl.memory.peak(compiled(name, strategy), side.batch, side.params, *side.rest)


def _along(strategy: str) -> bool:
    return STRATEGIES[strategy].gives == "along"


def _shape(value) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(value.shape, {"f": "float32", "i": "int32"}[value.dtype.kind])


def _bytes(tree: object) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
