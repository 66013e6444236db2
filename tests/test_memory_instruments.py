"""The instruments on a reader's own code: the public names, compiled calls, refusals; and no growth over many steps."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import nnx
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

import gradparity
import jax_impl.first_order
import jax_impl.memory
import torch_impl.memory
from comparisons.memory import looking, sides
from comparisons.problems import many_heads
from comparisons.scenarios import STRATEGIES
from torch_impl.memory import lifetime
from torch_impl.memory.held import graph_bytes
from torch_impl.memory.peak import _events

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit")
ROOT = Path(__file__).parent.parent
SIZES = {"batch": 4, "width": 4, "depth": 2, "losses": 3}
OWN_MODEL = """
import torch, gradparity
model, x = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh()), torch.ones(4, 8)
with gradparity.held(model, x) as ledger:
    loss = model(x).sum()
print(ledger)
"""
OWN_FUNCTION = """
import jax.numpy as jnp, gradparity
w, x = jnp.ones((8, 8)), jnp.ones((4, 8))
print(gradparity.residuals(lambda w: jnp.exp(x @ w), w))
"""


@pytest.mark.parametrize(
    ("code", "absent", "says"),
    [(OWN_MODEL, "jax", "128 B held for backward, beside"), (OWN_FUNCTION, "torch", "activation  exp  <string>:4")],
    ids=["held", "residuals"],
)
def test_three_lines_on_ones_own_code(code, absent, says):
    """Each loads its own framework alone."""
    code += f"import sys; assert {absent!r} not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert says in done.stdout


def printed(listing):
    """The first figure of the first line, and the sum of the activations' lines."""
    first, *lines = str(listing).splitlines()
    sizes = [int(line.split(" B ")[0].replace(",", "")) for line in lines if " activation " in f"{line} "]
    return int(first.split()[0].replace(",", "")), sum(sizes)


def test_a_printed_ledger_adds_up():
    """Two tensors in one storage are one line, with both nodes; once all is released there is nothing to print."""
    model, x = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)), torch.ones(4, 8)
    with torch_impl.memory.held(model, x) as ledger:
        losses = {"a": (model(x) ** 2).mean(), "b": model(x).exp().sum()}
    for listing in (ledger.saved(losses), ledger.saved()):
        assert printed(listing) == (ledger.bytes, ledger.bytes)
    assert sum("Addmm, Tanh" in line for line in str(ledger.saved(losses)).splitlines()) == 2
    losses.clear()
    assert str(ledger) == "0 B held for backward, beside 0 B of parameters and inputs"

    w = jnp.ones((8, 8))
    listing = jax_impl.memory.residuals(lambda w: jnp.exp(jnp.tanh(jnp.ones((4, 8)) @ w)), w)
    assert printed(listing)[0] == printed(listing)[1] == sum(k.bytes for k in listing if k.kind == "activation") > 0
    _, pullback = jax.vjp(lambda w: jnp.exp(w), w)
    assert printed(jax_impl.memory.held(pullback)) == (w.nbytes, w.nbytes)


@pytest.mark.parametrize(
    ("losses", "got"), [(torch.ones(()), "a Tensor"), ([torch.ones(())], "a list"), ({"a": 3.0}, "a dict of float")]
)
def test_losses_without_names_are_refused(losses, got):
    with pytest.raises(TypeError, match=f"`losses` should be a dict of named tensors, .*got {got}"):
        torch_impl.memory.held(torch.ones(1)).saved(losses)


def test_a_long_ledger_prints_its_largest():
    x = torch.ones(3, requires_grad=True)
    with torch_impl.memory.held(x) as ledger:
        kept = [x.exp() for _ in range(25)]
    assert str(ledger).splitlines()[-1] == f"  ... and {len(kept) - 20} smaller ones"


def test_a_line_is_the_readers_own_and_none_is_missing():
    """Inside `nnx.relu` a maximum has no line of its own, and a layer's lines are Flax's: the caller's is named."""
    layer, x = nnx.Linear(3, 3, rngs=nnx.Rngs(0)), jnp.ones((2, 3))
    graph, state = nnx.split(layer)
    rows = jax_impl.memory.residuals(lambda state: (nnx.relu(nnx.merge(graph, state)(x)) ** 2).sum(), state)
    made = [row.line for row in rows if row.kind == "activation"]
    assert made
    assert all("test_memory_instruments.py" in line for line in made)


def test_the_public_names_are_the_instruments():
    assert gradparity.held is torch_impl.memory.held
    assert gradparity.residuals is jax_impl.memory.residuals


def test_hooks_around_a_compiled_call_see_what_it_saves():
    x = torch.ones(64, requires_grad=True)
    compiled = torch.compile(lambda v: torch.tanh(v.exp()).sum(), backend="aot_eager")
    with torch_impl.memory.held(x) as ledger:
        loss = compiled(x)
    assert ledger.bytes == 2 * x.nbytes
    loss.backward()
    assert ledger.bytes == 0


def test_residuals_across_jit_are_its_outputs_and_keep_their_lines():
    x = jnp.ones(64)
    jitted = jax.jit(lambda v: jnp.exp(jnp.sin(v)).sum())
    _, pullback = jax_impl.memory.compiled_vjp(jitted, x)
    rows = jax_impl.memory.residuals(jitted, x)
    assert jax_impl.memory.held(pullback).bytes == sum(row.bytes for row in rows) == 2 * x.nbytes
    assert [row.op for row in rows] == ["cos", "exp"]
    line = test_residuals_across_jit_are_its_outputs_and_keep_their_lines.__code__.co_firstlineno + 2
    assert all(f"test_memory_instruments.py:{line}" in row.line for row in rows)


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap], ids=["grad", "vmap"])
def test_recording_inside_torch_func_is_refused(transform):
    def inside(x):
        with torch_impl.memory.held(x):
            return x.exp().sum()

    with pytest.raises(RuntimeError, match=r"`held` cannot see into torch\.func: .* take the gradients with"):
        transform(inside)(torch.ones(2, 3) if transform is torch.func.vmap else torch.ones(3))


def test_recording_inside_a_traced_function_is_refused():
    def inside(x):
        with torch_impl.memory.held(x):
            return x.exp().sum()

    x = torch.ones(3, requires_grad=True)
    with pytest.raises(Exception, match="put the block around its call"):
        torch.compile(inside, backend="eager", fullgraph=True)(x)
    with pytest.raises(RuntimeError, match="put the block around its call"):
        torch.jit.trace(inside, (x,))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_recording_in_a_broken_graph_is_right():
    """Without `fullgraph` the compiler leaves such a block to Python, and what runs there is seen."""

    def inside(x):
        with torch_impl.memory.held(x) as ledger:
            y = x.exp().tanh().sum()
        return y, ledger.bytes

    x = torch.ones(3, requires_grad=True)
    assert torch.compile(inside, backend="eager")(x)[1] == 2 * x.nbytes


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_hooks_around_a_compiled_call_that_breaks_are_not_compiled(backend):
    def broken(x):
        for _ in range(3):
            x = x.exp().tanh()
            torch._dynamo.graph_break()
        return x.sum()

    x = torch.ones(3, requires_grad=True)
    with torch_impl.memory.held(x) as ledger:
        loss = torch.compile(broken, backend=backend)(x)
    assert ledger.bytes == graph_bytes({"loss": loss}, x) == 6 * x.nbytes
    loss.backward()
    assert ledger.bytes == 0


def test_nested_recorders_are_refused_and_the_outer_goes_on():
    x = torch.ones(3, requires_grad=True)
    with torch_impl.memory.held(x) as outer:
        with pytest.raises(RuntimeError, match="already recording: leave that block first"):
            torch_impl.memory.held(x).__enter__()
        y = x.exp()
    assert outer.bytes == y.nbytes
    with torch_impl.memory.phases(outer), pytest.raises(RuntimeError, match="already recording"):
        torch_impl.memory.phases(outer).__enter__()
    with jax_impl.memory.phases(), pytest.raises(RuntimeError, match="already recording"):
        jax_impl.memory.phases().__enter__()


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
def test_a_donated_pullback_is_refused():
    _, pullback = jax_impl.memory.compiled_vjp(jnp.sin, jnp.ones(3))
    jax.jit(lambda pullback, cotangent: pullback(cotangent), donate_argnums=0)(pullback, jnp.ones(3))
    with pytest.raises(ValueError, match=r"`pullback` was donated or deleted: take it again with jax\.vjp"):
        jax_impl.memory.held(pullback)


def test_residuals_of_what_has_no_shape_are_refused():
    with pytest.raises(TypeError, match=r"`args` should be arrays or jax\.ShapeDtypeStructs \(got a str in them\)"):
        jax_impl.memory.residuals(jnp.sin, "x")


def test_not_recording_costs_nothing():
    """After the block no hook and no patch is left: what runs next is what ran before."""
    original = torch.autograd.grad, torch.autograd.backward, jax.vjp, jax.grad
    x = torch.ones(3, requires_grad=True)
    with torch_impl.memory.held(x) as ledger, torch_impl.memory.phases(ledger), jax_impl.memory.phases():
        assert torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
        assert (torch.autograd.grad, torch.autograd.backward, jax.vjp, jax.grad) != original
    assert torch._C._autograd._top_saved_tensors_default_hooks(True) is None
    assert (torch.autograd.grad, torch.autograd.backward, jax.vjp, jax.grad) == original
    x.exp()
    assert ledger.bytes == 0
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None


@pytest.mark.parametrize(("side", "calls"), [("torch", looking.in_torch), ("jax", looking.in_jax)])
def test_the_cost_of_recording_is_a_row(side, calls):
    (row,) = looking.rows(side, calls, "cpu", seconds=0.05)
    assert row["status"] == "ok"
    assert 0 < row["low"] <= row["ratio"] <= row["high"]
    steps = calls("cpu")
    assert steps["recorded"]() == 0 or side == "jax"  # the backward has released what was recorded


def torch_growth(strategy: str, steps: int) -> int:
    """Bytes allocated less bytes released over the steps, once the first has made what stays."""
    side = sides.torch_side("many_heads", many_heads(**SIZES), strategy)
    step = sides.run(strategy, side)

    def clear():
        for p in side.params.values():
            p.grad = None

    def soak():
        for _ in range(steps):
            step()
        clear()

    step()
    clear()
    gc.collect()
    return sum(_events(soak))


def jax_growth(strategy: str, steps: int) -> int:
    """How many more arrays are alive after the steps, each one compiled program."""
    side = sides.jax_side("many_heads", many_heads(**SIZES))
    side = side._replace(rest=sides.jax_rest(many_heads(**SIZES), strategy))
    step = jax.jit(sides.run(strategy, side, jax_impl.first_order))
    jax.block_until_ready(step())
    gc.collect()
    before = len(jax.live_arrays())
    for _ in range(steps):
        jax.block_until_ready(step())
    assert step._cache_size() == 1
    return len(jax.live_arrays()) - before


STEPS = [30, pytest.param(1000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_steps_leave_nothing_behind_in_pytorch(strategy, steps):
    assert torch_growth(strategy, steps) == 0


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [("per_loss_retained", 30), *(pytest.param(name, 1000, marks=pytest.mark.slow) for name in STRATEGIES)],
)
def test_steps_leave_nothing_behind_in_jax(strategy, steps):
    assert jax_growth(strategy, steps) == 0


@pytest.mark.parametrize("steps", STEPS)
def test_pullbacks_that_left_their_function_take_their_residuals_with_them(steps):
    step = looking.in_jax()["recorded"]
    step()
    gc.collect()
    before = len(jax.live_arrays())
    for _ in range(steps):
        assert step() > 0
    assert len(jax.live_arrays()) == before


def test_a_leak_is_seen():
    kept: list = []
    assert sum(_events(lambda: kept.append(torch.ones(256)))) == 1024


@pytest.mark.parametrize("steps", STEPS)
def test_the_cycle_of_create_graph_grows_with_its_steps_and_is_cured(steps):
    found = lifetime.reference_cycle(steps=steps, n=16)
    assert found[f"{steps} steps"] == steps * found["one step"] > 0
    assert found["cured"] == 0


def test_an_input_that_dies_lends_its_address_to_no_activation():
    w = torch.ones(64, 64, requires_grad=True)
    for _ in range(5):
        with torch_impl.memory.held(w, torch.ones(64, 64)) as ledger:
            loss = torch.tanh(torch.exp(w)).sum()
        assert ledger.kept == {"activation": 2 * 64 * 64 * 4, "parameter": 0, "input": 0}
        del loss


@pytest.mark.parametrize("selective", [False, True])
def test_looking_at_a_checkpoint_does_not_run_it(selective):
    calls = []

    def segment(x, w):
        calls.append(1)
        return torch.tanh(x @ w)

    context = partial(create_selective_checkpoint_contexts, [torch.ops.aten.mm.default])
    options = {"context_fn": context} if selective else {}
    w, x = torch.ones(4, 4, requires_grad=True), torch.ones(3, 4)
    with torch_impl.memory.held(w, x) as ledger:
        losses = {"loss": checkpoint(segment, x, w, use_reentrant=False, **options).sum()}
    for _ in range(2):
        ledger.saved(losses)
    assert len(calls) == 1
    losses["loss"].backward()
    assert len(calls) == 2


def test_after_a_step_the_ledger_lists_what_is_left():
    """What has changed in place is an error of the backward, not of looking."""
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)), torch.ones(4, 8)
    with torch_impl.memory.held(model, x) as ledger:
        losses = {"a": model(x).sum(), "b": model(x).pow(2).sum()}
    losses["a"].backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    rows = ledger.saved(losses)
    assert sum({r.storage: r.bytes for r in rows if r.kind == "activation"}.values()) == ledger.bytes == 144
    assert {row.losses for row in rows} == {("b",)}
    with pytest.raises(RuntimeError, match="was changed in place after the forward"):
        losses["b"].backward()


def test_two_threads_record_beside_each_other():
    w = torch.ones(4, requires_grad=True)
    with torch_impl.memory.held(w) as ledger, ThreadPoolExecutor() as pool:
        other = pool.submit(lambda: torch_impl.memory.held(w).__enter__()).result()
        loss = w.exp().sum()
    assert (ledger.bytes, other.bytes) == (16, 0)
    del loss


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda w, ledger: torch_impl.memory.held(w.to_sparse()), TypeError, "got a torch.sparse_coo tensor in it"),
        (lambda w, ledger: ledger.saved({1: w}), TypeError, "got a dict with keys of int"),
        (lambda w, ledger: torch_impl.memory.held(jax.vjp(jnp.sin, 1.0)[1]), TypeError, "take `jax_impl.memory.held"),
        (
            lambda w, ledger: torch_impl.memory.peak(lambda: torch_impl.memory.peak(lambda: w + 1)),
            RuntimeError,
            "`peak` is already recording",
        ),
    ],
)
def test_what_cannot_be_recorded_is_one_clear_line(call, error, message):
    w = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(error, match=message) as raised:
        call(w, torch_impl.memory.held(w))
    assert "\n" not in str(raised.value)


def test_a_sparse_tensor_that_is_saved_is_refused_by_name():
    w = torch.ones(4, 4, requires_grad=True)
    with pytest.raises(TypeError, match="`held` counts the bytes of strided"), torch_impl.memory.held(w):
        torch.sparse.mm(torch.eye(4).to_sparse(), w)


def test_arrays_on_several_devices_are_counted():
    """Two devices exist only in a process that asks for them before JAX starts."""
    code = """
import jax, jax.numpy as jnp, jax_impl.memory
from jax.sharding import Mesh, NamedSharding, PartitionSpec
x = jax.device_put(jnp.ones(8), NamedSharding(Mesh(jax.devices(), "d"), PartitionSpec("d")))
_, pullback = jax.vjp(lambda x: jnp.sin(x).sum(), x)
print(jax_impl.memory.held(pullback).bytes)
"""
    flags = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=flags, check=True)
    assert done.stdout == "32\n"
