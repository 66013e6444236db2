"""The memory instruments: exact, equal to a second instrument and to closed forms, and not fooled."""

import doctest
import gc
import os
from importlib import import_module

import jax
import jax.numpy as jnp
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

import jax_impl.memory
import torch_impl.memory
from comparisons.memory import ledger, predictions, sides, sweep
from comparisons.memory.predictions import Sizes
from comparisons.problems import SIZES, many_heads, problem
from comparisons.scenarios import STRATEGIES
from torch_impl.memory import lifetime

# PyTorch's first forward-mode derivative compiles its own rules with the torch.jit that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit")

SMALL = Sizes(batch=32, width=16, depth=4, losses=4)
PHASED = [name for name in STRATEGIES if predictions.phase("torch", name, "forward", SMALL) is not None]


def small(sizes: Sizes = SMALL) -> sides.Side:
    return sides.torch_side("many_heads", many_heads(**sizes._asdict()))


def small_for(strategy: str) -> sides.Side:
    return sides.torch_side("many_heads", many_heads(**SMALL._asdict()), strategy)


def wrong(rows):
    return [(row["id"], row["reason"]) for row in rows if row["status"] in ("differs", "failed")]


@pytest.mark.parametrize("name", ["torch_impl.memory.held", "torch_impl.memory.peak"])
def test_examples_in_pytorch(name):
    module = import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ["jax_impl.memory.held", "jax_impl.memory.peak"])
def test_examples_in_jax(name):
    module = import_module(name)
    assert doctest.testmod(module, extraglobs={"jnp": jnp}).failed == 0


def test_pytorch_holds_what_the_closed_form_says_in_72_configurations():
    rows = sweep.in_torch(sweep.CONFIGURATIONS)
    assert len(rows) == 2 * len(set(sweep.CONFIGURATIONS)) == 144
    assert not wrong(rows)


@pytest.mark.parametrize("group", range(0, len(sweep.CONFIGURATIONS), sweep.GROUP))
def test_jax_holds_what_the_closed_form_says_in_72_configurations(group):
    rows = sweep.in_jax(sweep.CONFIGURATIONS[group : group + sweep.GROUP])
    assert len(rows) == 2 * sweep.GROUP
    assert not wrong(rows)


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", SIZES)
def test_two_instruments_agree(name, framework):
    (row,) = ledger.instruments(framework, name, "tiny", "cpu")
    assert not wrong([row])
    assert row["bytes"] > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pytorch_phases_of_many_heads(strategy):
    rows = ledger.rows("torch", "many_heads", strategy, "tiny", "cpu")
    assert not wrong(rows)
    predicted = [row["phase"] for row in rows if row.get("predicted") is not None]
    assert predicted == (["forward", "dropped", "last"] if strategy in PHASED else [])


@pytest.mark.xdist_group("jax phases")
@pytest.mark.parametrize("strategy", ["per_loss_retained", "per_loss_batched", "accumulated", "summed"])
def test_jax_phases_of_many_heads(strategy):
    rows = ledger.rows("jax", "many_heads", strategy, "tiny", "cpu")
    assert not wrong(rows)
    predicted = [row["phase"] for row in rows if row.get("predicted") is not None]
    assert predicted == ([] if strategy == "summed" else ["forward", "dropped", "last"])
    assert rows[-1]["kind"] == "planned"


def test_a_tensor_that_outlives_its_loss_is_seen():
    side = small()
    with torch_impl.memory.held(side.params, side.batch) as ledger:
        values = side.losses(side.params)
    kept = values.popitem()
    values.clear()
    assert 0 < ledger.bytes < predictions.held("torch", SMALL)
    del kept
    assert ledger.bytes == 0


def test_saved_tensors_name_their_op_and_the_losses_that_reach_them():
    side = small()
    with torch_impl.memory.held(side.params, side.batch) as ledger:
        values = side.losses(side.params)
    rows = [row for row in ledger.saved(values) if row.kind == "activation"]
    assert {"Tanh", "Pow"} <= {row.op for row in rows}
    assert {row.losses for row in rows if row.op == "Tanh"} == {tuple(values)}
    assert {row.losses for row in rows if row.op == "Pow"} == {(name,) for name in values}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["lesson", "many_heads", "attention", "recurrent"])
def test_the_allocations_of_operations_peak_with_the_allocator(name, strategy):
    arguments = name, problem(name, "tiny"), strategy
    measured = sides.torch_peak(strategy, sides.torch_side(*arguments))
    side = sides.torch_side(*arguments)
    with torch_impl.memory.Allocations(side.arrays) as seen:
        sides.run(strategy, side)()
    assert seen.peak == measured


def test_allocations_count_the_random_state_of_the_cpu_on_the_cpu_alone():
    take = torch.get_rng_state
    for device, size in (("cpu", take().nbytes), ("cuda", 0)):
        with torch_impl.memory.Allocations(device=device) as seen:
            state = torch.get_rng_state()
            assert seen.bytes == size
            del state
            assert seen.bytes == 0
        assert torch.get_rng_state is take


def test_allocations_refuse_to_be_entered_twice_and_leave_nothing_behind():
    take = torch.get_rng_state
    with torch_impl.memory.Allocations() as seen, pytest.raises(RuntimeError, match="already recording"):
        seen.__enter__()
    assert torch.get_rng_state is take
    with torch_impl.memory.Allocations() as outer, torch_impl.memory.Allocations() as inner:
        torch.get_rng_state()
    assert torch.get_rng_state is take
    assert outer.peak == inner.peak == take().nbytes
    with seen:
        torch.get_rng_state()
    assert outer.peak == take().nbytes


class Reuses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        a = 2 * x
        return a * torch.add(a, g) + torch.add(2 * x, g, alpha=3)


def _product_reused(x, w, b):
    y = torch.matmul(x, w)
    return torch.add(y, b).detach(), y.detach()


def _scaled(x, w, b):
    return torch.add(torch.matmul(x, w), b, alpha=3).detach()


def _under_grad(x, w, b):
    return torch.func.grad(lambda m: (lambda y: ((y + b) * y).sum())(x @ m))(w)


def _in_a_backward(x, w, b):
    one = torch.ones(3, requires_grad=True)
    return torch.autograd.grad(Reuses.apply(one).sum(), one)


def _of_two_dtypes(x, w, b):
    s = (w @ w.t() + 4 * torch.eye(4)).double().detach().requires_grad_()
    return torch.autograd.grad(torch.linalg.det(s).pow(2).sum(), s)


@pytest.mark.parametrize("run", [_product_reused, _scaled, _under_grad, _in_a_backward, _of_two_dtypes])
def test_what_runs_under_allocations_gives_what_it_gives_without(run):
    x, w, b = torch.linspace(0, 1, 24).view(2, 3, 4), torch.linspace(-1, 1, 20).view(4, 5), torch.ones(5)
    w.requires_grad_()
    expected = run(x, w, b)
    with torch_impl.memory.Allocations([x, w, b]):
        found = run(x, w, b)
    for one, other in zip(pytree.tree_leaves(found), pytree.tree_leaves(expected), strict=True):
        assert torch.equal(one, other)


def test_allocations_leave_pythons_sums_as_they_are():
    """`x @ w + b` makes a second tensor in Python, and adds in place inside a linear map of three dimensions."""
    x, w, b = torch.ones(2, 3, 4).transpose(0, 1), torch.ones(5, 4), torch.ones(5)
    for run in (lambda: x @ w.t() + b, lambda: F.linear(x, w, b), lambda: F.linear(x, w) + b):
        expected = run()
        with torch_impl.memory.Allocations([x, w, b]) as seen:
            found = run()
        assert torch.equal(found, expected)
        assert seen.peak == torch_impl.memory.peak(run)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, cotangent):
        (x,) = ctx.saved_tensors
        return x * cotangent + x * cotangent


def _hooked(x):
    y = x.exp()
    y.register_hook(lambda cotangent: y * y + y * y)
    return y


def _another_package(x):
    """A hook of a library whose folder's name begins as PyTorch's."""
    y, names = x.exp(), {}
    exec(compile("def hook(y): return y * y + y * y", f"{os.path.dirname(torch.__file__)}jd/hooks.py", "exec"), names)
    y.register_hook(lambda cotangent: names["hook"](y))
    return y


def _transposed(x):
    """The engine's buffer is dense, but not contiguous."""
    y, weights = x.view(20, 5).exp().t(), x.detach().view(20, 5).t()
    return ((y * weights).sum() + (y * weights).sum()).expand(100)


FUNCTIONS = [Square.apply, _hooked, _another_package, _transposed, lambda x: x.exp() + x.sin()]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_sum_between_the_engine_and_an_operator_is_kept_in_place_but_a_readers_is_not(function):
    x = torch.ones(100, requires_grad=True)

    def run():
        return torch.autograd.grad(function(x), x, x.detach())

    with torch_impl.memory.Allocations(x) as seen:
        run()
    assert seen.peak == torch_impl.memory.peak(run)


def test_a_peak_is_not_lowered_by_what_earlier_memory_gives_back():
    """An earlier recording has the allocator count a release that belongs to no allocation of this one."""
    made = []
    torch_impl.memory.peak(lambda: made.append(torch.ones(1000)))
    assert torch_impl.memory.peak(lambda: (made.clear(), torch.ones(50))) == 200
    assert made == []


def test_recording_does_not_hide_a_change_in_place():
    x = torch.ones(3, requires_grad=True)
    with torch_impl.memory.held(x):
        y = torch.tanh(x)
        loss = y.sum()
    with torch.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_pytorch_refuses_what_it_cannot_see():
    x = torch.ones(3, requires_grad=True)
    with torch_impl.memory.held(x), pytest.raises(RuntimeError, match="already recording"):
        torch_impl.memory.held(x).__enter__()
    with pytest.raises(RuntimeError, match=r"cannot see into torch\.func"), torch_impl.memory.held(x):
        torch.func.grad(lambda x: x.exp().sum())(x)
    with torch_impl.memory.held(x) as after:
        y = x.exp()
    assert after.bytes == y.nbytes
    with pytest.raises(TypeError, match="`params` should be modules and strided tensors"):
        torch_impl.memory.held("model")
    with pytest.raises(RuntimeError, match="of mine"), torch_impl.memory.held(x):
        raise RuntimeError("saved tensor hooks of mine")
    with pytest.raises(ValueError, match=r"`device` should be cpu or cuda \(got 'mps'\)"):
        torch_impl.memory.peak(lambda: x.exp(), "mps")
    with pytest.raises(ValueError, match=r"reads a GPU's allocator \(got 'cpu'\): on the CPU take `peak`"):
        torch_impl.memory.requested(lambda: x.exp(), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("instrument", ["peak", "requested"])
def test_a_gpu_that_is_not_there_is_named(instrument):
    with pytest.raises(RuntimeError, match="PyTorch sees no GPU here"):
        getattr(torch_impl.memory, instrument)(lambda: None, "cuda")


@pytest.mark.parametrize("given", [list, tuple, lambda models: dict(enumerate(models)), nn.ModuleList])
def test_parameters_are_those_of_every_module(given):
    models, x = [nn.Linear(3, 3), nn.Linear(3, 3)], torch.ones(2, 3)
    generated = (weight for model in models for weight in model.parameters())
    for params in (given(models), generated):
        with torch_impl.memory.held(params, x) as ledger:
            y = models[1](models[0](x).exp())
        assert ledger.kept == {"activation": 24, "parameter": 36, "input": 24}
        del y


def test_jax_refuses_what_it_cannot_see():
    x = jnp.ones(3)
    with pytest.raises(TypeError, match=r"what jax\.vjp returns"):
        jax_impl.memory.held(jnp.tanh)
    with pytest.raises(TypeError, match="inside a traced function"):
        jax.jit(lambda x: jax_impl.memory.held(jax.vjp(jnp.tanh, x)[1]).bytes)(x)
    _, pullback = jax_impl.memory.compiled_vjp(jnp.sin, x)
    for leaf in jax.tree.leaves(pullback):
        leaf.delete()
    with pytest.raises(ValueError, match="donated or deleted"):
        jax_impl.memory.held(pullback)
    with pytest.raises(RuntimeError, match="no memory statistics"):
        jax_impl.memory.peak_in_use(lambda: jnp.sin(x))


def test_residuals_name_their_primitive_and_line():
    w, x = jnp.ones((8, 8)), jnp.ones((4, 8))
    rows = jax_impl.memory.residuals(lambda w: jnp.exp(jnp.sin(x @ w)), w)
    assert {row.op for row in rows if row.kind == "activation"} == {"cos", "exp"}
    assert all("test_memory.py" in row.line for row in rows if row.kind == "activation")
    assert {row.shape for row in rows if row.kind == "input"} == {(4, 8)}


def test_create_graph_leaks_until_grad_is_cleared():
    found = lifetime.reference_cycle(steps=3)
    assert found["3 steps"] == 3 * found["one step"] > 0 == found["cured"]


def test_what_the_collector_would_free_meanwhile_is_not_counted():
    def cycle():
        pair = [torch.ones(1000)]
        pair.append(pair)

    def run():
        for _ in range(2000):  # enough containers for a collection, were it not for `peak`
            cycle()

    assert torch_impl.memory.peak(run) == 2000 * 4000
    assert gc.isenabled()
