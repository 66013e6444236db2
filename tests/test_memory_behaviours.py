"""Every stated behaviour of memory, by the figures that it states; and planted bugs that break them."""

import io
from importlib import import_module
from types import FunctionType

import jax
import pytest
import torch
from rich.console import Console

from comparisons import job, memory
from comparisons.memory import behaviours, tables
from comparisons.memory.behaviours import lifetimes_in_jax, lifetimes_in_torch, programs_in_jax, programs_in_torch
from comparisons.memory.behaviours.seen import LAYERS, SMALL, Seen
from comparisons.memory.behaviours.table import BEHAVIOURS, LIFETIMES, ON_CPU, PROGRAMS
from comparisons.pitfalls.compiled import compiler
from comparisons.rows import Unit
from torch_impl import first_order
from torch_impl.memory import compiled as torch_compiled

SIDES = ("torch", "jax")
CHECKS = [
    (lifetimes_in_torch, "torch", LIFETIMES),
    (lifetimes_in_jax, "jax", LIFETIMES),
    (programs_in_torch, "torch", PROGRAMS),
    (programs_in_jax, "jax", PROGRAMS),
]
CASES = [
    pytest.param(name, side, id=f"{name}-{side}", marks=pytest.mark.xdist_group(f"{side} behaviours"))
    for name, absent in BEHAVIOURS.items()
    for side in SIDES
    if side not in absent
]


def checks(module):
    """The public functions that a module defines."""
    found = vars(module).items()
    return {k for k, v in found if isinstance(v, FunctionType) and v.__module__ == module.__name__ and k[0] != "_"}


@pytest.mark.parametrize(("module", "side", "stated"), CHECKS)
def test_the_table_names_every_check_and_nothing_else(module, side, stated):
    assert checks(module) == {name for name, absent in stated.items() if side not in absent}
    assert set(BEHAVIOURS) >= ON_CPU


@pytest.mark.parametrize(("name", "side"), CASES)
def test_a_behaviour_holds_to_the_byte(name, side):
    (row,) = behaviours.rows(name, side)
    assert (row["status"], row.get("reason")) == ("ok", None)
    assert row["holds"] is True
    assert row["expected"] or row["relations"]
    assert set(row["expected"]) <= set(row["figures"])
    assert row["says"].endswith((".", ":"))
    module, _, function = row["call"].rpartition(".")
    assert getattr(import_module(module), function).__doc__.startswith(row["says"])


@pytest.mark.parametrize(
    ("file", "one_sided"),
    [
        ("accumulation", {"into"}),  # jax: `backward` needs no such word
        ("arrays", set()),
        ("checkpoint", {"tanh_layers", "in_a_scan"}),  # jax: what XLA merges, and its loop
        ("growth", set()),
        ("lifetime", {"reference_cycle", "recorded_twice"}),  # torch: no array of JAX's holds a graph
    ],
)
def test_both_sides_state_the_same(file, one_sided):
    torch_side, jax_side = (checks(import_module(f"{side}_impl.memory.{file}")) for side in SIDES)
    assert torch_side ^ jax_side == one_sided


def test_one_sided_behaviours_say_why():
    for name, absent in BEHAVIOURS.items():
        for side, why in absent.items():
            (row,) = behaviours.rows(name, side)
            assert (row["status"], row["reason"]) == ("unsupported", why)


def retained(*arguments, **options):
    return GRAD(*arguments, **options | {"retain_graph": True})


def unknotted(loss, create_graph=False):
    return BACKWARD(loss)


GRAD, BACKWARD = torch.autograd.grad, torch.Tensor.backward
KEPT: list = []
PULL = jax.jit(lambda pullback, cotangents: pullback(cotangents))
VJP = import_module("jax_impl.memory.phases").compiled_vjp


def kept(*arguments):
    KEPT.append(VJP(*arguments))
    return KEPT[-1]


def eager(function, *arguments, **options):
    return function(*arguments)


def unchecked(function, **options):
    return function


def accumulated(losses, params):
    return first_order.per_loss_retained(losses, params)


def planted(side, where, bug, breaks, reason):
    return [pytest.param(where, bug, name, side, reason, id=f"{where}-{name}") for name in breaks]


BUGS = [
    *planted("torch", "torch.autograd.grad", retained, ("retaining",), "released: 4,480, but the closed form says 0"),
    *planted("torch", "torch.autograd.grad", retained, ("path_only",), "after a: 4,096, but"),
    *planted("torch", "torch.autograd.grad", retained, ("left_behind",), "left: 4,480, but"),
    *planted("torch", "torch.autograd.grad", retained, ("donation",), "released: 2,048, but"),
    *planted("torch", "torch.Tensor.backward", unknotted, ("reference_cycle",), "one step: 0, but"),
    *planted("torch", "torch.autograd.grad", retained, ("compiled",), "eager, left: "),
    *planted("torch", "torch.compile", unchecked, ("compiled",), "compiled, nodes: "),
    *planted("torch", "torch.compile", unchecked, ("budget",), "budget 0: "),
    *planted("torch", "torch_impl.memory.checkpoint.checkpoint", eager, ("segmented", "selective"), "held, checkp"),
    *planted("torch", "torch_impl.memory.checkpoint.checkpoint", eager, ("in_one_program",), "held, checkpointed: "),
    *planted("torch", "torch_impl.memory.checkpoint.checkpoint", eager, ("selective_twice",), "retained: 4, but"),
    *planted("torch", "torch_impl.memory.checkpoint.checkpoint", eager, ("layer_calls",), "retained: 4, but"),
    *planted(
        "torch", "torch_impl.first_order.per_loss_chunked", first_order.per_loss_batched, ("as_losses_grow",), "not so"
    ),
    *planted(
        "torch", "torch_impl.memory.accumulation.accumulated", accumulated, ("accumulation",), "not so: three results"
    ),
    *planted("jax", "jax_impl.memory.lifetime.compiled_vjp", kept, ("retaining", "last_reference"), "dropped: "),
    *planted("jax", "jax_impl.memory.lifetime._last_pull", PULL, ("donation",), "weights donated: "),
    *planted("jax", "jax.checkpoint", unchecked, ("segmented", "selective"), "held, checkpointed: "),
    *planted("jax", "jax.checkpoint", unchecked, ("in_a_scan", "in_one_program"), ""),
    *planted("jax", "jax.checkpoint", unchecked, ("layer_calls",), "retained: 4, but"),
]


@pytest.mark.parametrize(("where", "bug", "name", "side", "reason"), BUGS)
def test_a_planted_bug_breaks_the_behaviour(monkeypatch, where, bug, name, side, reason):
    jax.clear_caches()  # a program compiled without the bug, or with it, must not serve the other
    with monkeypatch.context() as patched:
        patched.setattr(where, bug)
        (row,) = behaviours.rows(name, side)
    jax.clear_caches()
    KEPT.clear()
    assert row["status"] == "differs", row.get("reason")
    assert row["holds"] is False
    assert reason in row["reason"]


@pytest.mark.parametrize("name", ["accumulates", "failed_second_backward"])
def test_a_jax_without_with_refs_is_told_so(monkeypatch, name):
    monkeypatch.setattr(jax, "vjp", lambda f, *primals: (f(*primals), lambda cotangent: cotangent))
    (row,) = behaviours.rows(name, "jax")
    assert row["status"] == "unsupported"
    assert row["reason"] == f"the pullbacks of jax {jax.__version__} have no `with_refs`"


def test_a_pytorch_without_a_budget_is_told_so(monkeypatch):
    monkeypatch.setattr(torch_compiled, "BUDGET", "no_such_setting")
    (row,) = behaviours.rows("budget", "torch")
    assert row["status"] == "unsupported"
    assert row["reason"].endswith("has no torch._functorch.config.no_such_setting")


def test_a_crash_is_one_failed_row(monkeypatch):
    def crash(device):
        raise OSError("no memory")

    monkeypatch.setattr(lifetimes_in_torch, "retaining", crash)
    (row,) = behaviours.rows("retaining", "torch")
    assert (row["status"], row["reason"]) == ("failed", "OSError: no memory")
    (table,) = tables([row])
    assert table.lines == [["retaining: OSError: no memory", "torch", "FAILED"]]


def test_a_behaviour_that_does_not_hold_is_exit_1_and_named(capsys):
    (row,) = behaviours.rows("path_only", "torch")
    wrong = behaviours.judged(row, Seen(behaviours.rows, {"left": 8}, {"left": 0}))
    assert job.take([Unit("memory", "behaviours", "", lambda: [wrong])], "cpu") == 1
    out, err = capsys.readouterr()
    assert "left: 8, but the closed form says 0" in out
    assert "memory/behaviour/path_only/cpu/torch" in err


def test_behaviours_are_part_of_the_question():
    labels = [unit.label for unit in memory.units([], "tiny", "cpu")]
    assert {f"behaviour  {name}  {side}" for name in BEHAVIOURS for side in SIDES} <= set(labels)


def test_a_table_breaks_no_figure():
    row = {"behaviour": "x", "framework": "torch", "kind": "behaviour", "status": "ok", "says": "It holds."}
    (table,) = tables([row | {"figures": {f"figure {k}": 10**6 * k for k in range(12)}}])
    text = [line[0] for line in table.lines]
    assert text[0] == "It holds."
    assert len(text) == 7
    assert all(line.startswith("  figure") for line in text[1:])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(job._rich(table))
    assert "…" not in console.export_text()


def test_the_longest_behaviour_fits_a_terminal():
    """At 80 columns no sentence and no figure is cut."""
    (row,) = behaviours.rows("in_one_program", "jax")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(job._rich(tables([row])[0]))
    printed = console.export_text()
    assert "…" not in printed
    assert all(f"{name}: {value:,}" in printed for name, value in row["figures"].items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit")  # inductor's own imports
def test_inductor_makes_one_node_too():
    if not compiler():
        pytest.skip("inductor needs a C++ compiler: none found")
    x = torch.ones(SMALL.batch, SMALL.width)
    weights, heads = (
        [torch.ones(*s, requires_grad=True) for _ in range(n)] for s, n in (((16, 16), LAYERS), ((16,), 3))
    )
    found = torch_compiled.one_node(x, weights, heads, "inductor")
    assert (found["compiled, nodes"], found["compiled, left"]) == (1, 0)
    assert 0 < found["compiled, forward"] <= found["eager, forward"]
