"""The ledger without allocation: equal to the measured one to the byte, at any size, and in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

import jax_impl.memory
import torch_impl.memory
from comparisons import cli, memory
from comparisons.frameworks import in_jax, in_torch, jax_scope
from comparisons.memory import along, beyond, fits, gpu_tables, predictions, sides, simulated
from comparisons.memory.predictions import Sizes
from comparisons.memory.shapes import Shapes
from comparisons.problems import BEYOND, SIZES, many_heads, problem, shapes, transformer
from comparisons.scenarios import STRATEGIES
from comparisons.usage import BadUsage

# PyTorch's first forward-mode derivative compiles its own rules with the torch.jit that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit")
ROOT = Path(__file__).parent.parent


def measured(name, strategy, stated):
    """Held bytes at every phase, and the peak beyond the arguments; without phases inside torch.func."""
    try:
        marks = sides.torch_phases(strategy, sides.torch_side(name, stated, strategy))
    except RuntimeError as error:
        if "torch.func" not in str(error):
            raise
        marks = []
    return marks, sides.torch_peak(strategy, sides.torch_side(name, stated, strategy))


def compare(name, strategy, stated, drawn):
    if (name, strategy) == ("recurrent", "per_loss_functional") and torch.__version__.startswith("2.11"):
        pytest.skip("the jacrev of PyTorch 2.11 reads a value, which a fake tensor has not")
    marks, peak, arguments, _ = simulated.in_torch(name, stated, strategy)
    truth, most = measured(name, strategy, drawn)
    assert arguments == sides.nbytes(sides.torch_side(name, drawn, strategy).arrays)
    if simulated.bound(name) == "exact":
        assert peak == most, f"simulated {peak:,} B, measured {most:,} B"
    else:
        assert name == "conv"
        assert peak <= most, f"simulated {peak:,} B, measured {most:,} B"
    return marks, truth


NUMBERS = {
    "product": lambda x: x * 2.0,
    "product kept while the next runs": lambda x: torch.tanh(0.5 * x),
    "product after its backward": lambda x: torch.autograd.grad(product := 2 * x, x, torch.ones_like(x))[0] + product,
    "product whose graph is retained": lambda x: torch.autograd.grad((2 * x).sum(), x, retain_graph=True)[0].exp(),
    "product that records nothing": lambda x: (x.detach() * 2).exp(),
    "quotient": lambda x: torch.tanh(x / 2),
    "difference": lambda x: 1 - x,
    "mean": lambda x: x.mean(),
    "squares' mean": lambda x: torch.nn.functional.mse_loss(x, torch.ones_like(x)),
    "no number": lambda x: (x**2).sum(),
}


@pytest.mark.parametrize("run", NUMBERS.values(), ids=NUMBERS)
def test_pytorch_simulates_what_numbers_take(run):
    found = []
    for device in ("cpu", "meta"):
        x = torch.ones(5, device=device, requires_grad=True)
        with simulated.numbers_saved(), Shapes(x, "cpu") as seen:
            run(x)
        found.append(seen.peak)
    x = torch.ones(5, requires_grad=True)
    assert found == [torch_impl.memory.peak(lambda: run(x))] * 2


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", SIZES)
def test_pytorch_simulated_is_measured(name, strategy):
    marks, truth = compare(name, strategy, shapes(name, "tiny"), problem(name, "tiny"))
    assert marks == truth


@pytest.mark.parametrize("strategy", ["summed", "per_loss_retained", "per_loss_batched", "per_loss_chunked"])
@pytest.mark.parametrize("sizes", [Sizes(64, 32, 4, 8), Sizes(200, 16, 2, 5, 12), Sizes(16, 64, 6, 3, 4)])
def test_pytorch_simulated_many_heads_is_measured(sizes, strategy):
    made = [many_heads(**sizes._asdict(), seed=seed) for seed in (None, 0)]
    marks, truth = compare("many_heads", strategy, *made)
    assert marks == truth
    assert marks[0][1] == predictions.phase("torch", strategy, "forward", sizes)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", SIZES)
def test_pytorch_simulated_is_measured_at_the_default_size(name, strategy):
    marks, truth = compare(name, strategy, shapes(name, "default"), problem(name, "default"))
    assert marks == truth


def jax_marks(name, strategy, drawn):
    with jax_scope("float32", "cpu"):
        side = sides.jax_side(name, drawn)
        return sides.jax_phases(strategy, side._replace(rest=sides.jax_rest(drawn, strategy)))


FEW = [("many_heads", "per_loss_split"), ("many_heads", "accumulated"), ("digits", "per_loss_batched")]
ALL = [(name, strategy) for name in SIZES for strategy in STRATEGIES]


@pytest.mark.parametrize(
    ("name", "strategy"), [pytest.param(*cell, marks=[] if cell in FEW else pytest.mark.slow) for cell in ALL]
)
def test_jax_simulated_is_measured(name, strategy):
    marks, arguments, results = simulated.in_jax(name, shapes(name, "tiny"), strategy)
    assert marks == jax_marks(name, strategy, problem(name, "tiny"))
    if (name, strategy) in FEW:
        plan = simulated.plan(name, shapes(name, "tiny"), strategy)
        with jax_scope("float32", "cpu"):
            side = sides.jax_side(name, problem(name, "tiny"))
            assert plan == jax_impl.memory.peak(sides.jax_program(name, strategy, side)[0])
        assert plan.argument == arguments
        assert 0 <= plan.output - results < 4096  # the table of the outputs' addresses


def test_a_wrong_shape_is_seen():
    """The simulation has no figure of its own: another shape, other bytes."""
    wider = many_heads(**Sizes(8, 9, 2, 3, 4)._asdict(), seed=None)
    marks, *_ = simulated.in_torch("many_heads", wider, "summed")
    assert marks[0][1] != predictions.phase("torch", "summed", "forward", Sizes(8, 8, 2, 3, 4))


def test_shapes_take_no_memory():
    stated = shapes("transformer", "gpt2-xl")
    assert sum(value.size for value in stated.params.values()) > 1.47e9
    assert all(set(value.strides) <= {0} for value in [*stated.params.values(), *stated.batch.values()])
    for name in SIZES:
        drawn, only = problem(name, "tiny"), shapes(name, "tiny")
        for real, stated in ((drawn.params, only.params), (drawn.batch, only.batch)):
            assert {k: (v.shape, v.dtype) for k, v in real.items()} == {
                k: (v.shape, v.dtype) for k, v in stated.items()
            }


def test_the_transformer_is_one_problem_on_both_sides():
    stated = transformer(batch=2, tokens=5, width=128, depth=2, losses=3)
    torch, jax = (take("transformer", stated, "per_loss_retained") for take in (in_torch, in_jax))
    for loss, grads in jax.items():
        for name, grad in grads.items():
            ours = np.zeros(grad.shape) if torch[loss][name] is None else torch[loss][name]
            np.testing.assert_allclose(ours, grad, atol=1e-12)


@pytest.mark.parametrize("strategy", ["per_loss_retained", "per_loss_batched"])
def test_the_transformer_simulated_is_measured(strategy):
    sizes = {"batch": 1, "tokens": 16, "width": 64, "depth": 2, "losses": 4}
    made = [transformer(**sizes, seed=seed) for seed in (None, 0)]
    marks, truth = compare("transformer", strategy, *made)
    assert marks == truth


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80GB", 80 * 10**9),
        ("80GiB", 80 * 2**30),
        ("512MB", 512 * 10**6),
        ("1.5TB", 15 * 10**11),
        ("1 kib", 1024),
        ("9" * 400 + "GB", (10**400 - 1) * 10**9),
    ],
)
def test_fits_is_read(text, size):
    assert fits.parsed(text) == size


@pytest.mark.parametrize("text", ["80", "GB", "80 gigs", "-1GB", "0GB", "8e10B", ""])
def test_fits_is_refused(text):
    with pytest.raises(BadUsage, match="is not a size: give a number and a unit, such as 80GB"):
        fits.parsed(text)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--size", "gpt2xl"], "--size 'gpt2xl' is not known; did you mean 'gpt2-xl'?"),
        (["--size", "gpt2-xl"], "--size gpt2-xl is of a simulation: add --simulate"),
        (["--fits", "80GB"], "--fits is of a simulation: add --simulate"),
        (["--plans"], "--plans is of a simulation: add --simulate"),
        (["--simulate", "--fits", "eighty"], "--fits 'eighty' is not a size"),
        (["--simulate", "--fits", ""], "--fits '' is not a size"),
        (["--fits", ""], "--fits is of a simulation: add --simulate"),
        (["--curves", "--problem", "digits"], "--curves is of many_heads and four strategies"),
        (["--curves", "--simulate"], "--curves is of many_heads and four strategies"),
        (["--curves", "--size", "large"], "--curves is of many_heads and four strategies at sizes of its own"),
        (["--simulate", "--device", "cuda"], "--simulate takes shapes on the CPU alone"),
        (["--simulate", "--size", "gpt2-xl", "--problem", "digits"], "--problem 'digits' is not known"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_a_mistake_is_one_line(monkeypatch, capsys, argv, message):
    monkeypatch.setattr(sys, "argv", ["gradparity", "memory", *argv])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_curves_alone_are_taken(monkeypatch, capsys):
    monkeypatch.setattr(along, "AXES", {"depth": (1, 2)})
    monkeypatch.setattr(sys, "argv", ["gradparity", "memory", "--curves"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, _ = capsys.readouterr()
    assert stopped.value.code == 0
    assert out.startswith("\nmany_heads by depth")
    assert "two instruments" not in out


def test_what_fits_is_listed():
    rows = [
        row
        for part in (beyond._torch, beyond._jax)
        for strategy in ("summed", "per_loss_functional")
        for row in beyond.rows(part, "many_heads", strategy, "tiny", limit=5000)
    ]
    assert all(row["status"] in ("ok", "unsupported") for row in rows)
    assert {row["kind"] for row in rows} == {"simulated"}
    torch, jax = fits.tables(rows)
    assert [line[0] for line in torch.lines] == ["summed"]
    assert torch.title.startswith("1 of 2 fit in 5,000 B. Assumed: PyTorch's operators")
    assert jax.title.startswith("0 of 2 fit in 5,000 B, 2 may. Assumed: no kernels")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["lesson", "many_heads", "conv"])
def test_no_plan_is_below_jaxs_lower_bound(name, strategy):
    """And with --plans the plan is what the ledger shows, and what is asked to fit."""
    (bound,) = [row for row in beyond.rows(beyond._jax, name, strategy, "tiny", 10**6) if row["phase"] == "peak"]
    (plan,) = beyond.rows(beyond._plan, name, strategy, "tiny", 10**6)
    assert bound["bytes"] <= plan["bytes"]
    ledger, listed = memory.tables([bound, plan])[0], fits.tables([bound, plan])[0]
    assert ledger.lines[0][-1] == f"{plan['bytes']:,} p"
    assert [line[3] for line in listed.lines] == [f"{plan['bytes']:,}"]


@pytest.mark.parametrize("axis", along.AXES)
def test_curves_hold(axis, monkeypatch):
    monkeypatch.setitem(along.AXES, axis, along.AXES[axis][:2])
    monkeypatch.setattr(along, "PLANNED", set())
    rows = [row for strategy in ("per_loss_batched", "per_loss_chunked") for row in along.rows(axis, strategy)]
    assert [row for row in rows if row["status"] != "ok"] == []
    assert sum(row.get("predicted") is not None for row in rows) == 8
    peaks = {(row["strategy"], row["at"]): row["beyond"] for row in rows if row["phase"] == "peak"}
    low, high = along.AXES[axis]
    assert peaks["per_loss_batched", high] >= peaks["per_loss_batched", low]
    if axis == "losses":
        grown = {name: peaks[name, high] - peaks[name, low] for name in ("per_loss_batched", "per_loss_chunked")}
        assert grown["per_loss_chunked"] < grown["per_loss_batched"]


@pytest.mark.slow
def test_a_trunk_of_gpt2_xl_is_simulated_in_2_gib(tmp_path):
    command = [sys.executable, "-m", "comparisons", "memory", "--simulate", "--size", "gpt2-xl", "--fits", "80GB"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "rows.json")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = json.loads((tmp_path / "rows.json").read_text())["memory"]
    (took,) = [row for row in rows if row["phase"] == "resources"]
    assert took["bytes"] < 2 * 2**30
    assert f"{took['seconds']}" in done.stdout
    held = {
        (row["framework"], row["strategy"]): row["bytes"]
        for row in rows
        if row["phase"] == "forward" and "bytes" in row
    }
    sizes = BEYOND["gpt2-xl"]["transformer"]
    scores = 25 * sizes["tokens"] ** 2 * 4  # a layer's softmax, by the math backend
    assert held["torch", "summed"] > sizes["depth"] * scores
    within = {row["strategy"] for row in rows if row.get("fits") and row["framework"] == "torch"}
    assert {"summed", "accumulated"} <= within
    assert not {"per_loss_retained", "per_loss_batched", "per_loss_functional"} & within


def test_a_committed_peak_on_a_gpu_is_accounted_for_to_the_byte():
    """PyTorch's by operators and what their kernels take inside, JAX's by plan."""
    found = json.loads((ROOT / "results" / "h200.json").read_text())["memory"]
    peaks = [row for row in found if row["phase"] == "peak" and row["kind"] == "observed"]
    torch = [row for row in peaks if row["framework"] == "torch"]
    for row in torch:
        assert row["accounted"] == row["requested"] <= row["bytes"]
    jax = [row for row in peaks if row["framework"] == "jax"]
    assert {row["status"] for row in torch} == {"ok"}
    assert {(row["problem"], row["strategy"]) for row in torch} == {*ALL} - {("recurrent", "directional")}
    assert len(jax) == len(ALL)
    for row in jax:
        assert 0 <= row["bytes"] - row["planned"] <= 256 * _buffers(row["problem"])  # each is rounded up to 256 B


def _buffers(name):
    """More than a program of this problem has: K gradients, parameters, a direction, the batch, and scratch."""
    stated = shapes(name, "large")
    return (len(stated.losses) + 2) * len(stated.params) + len(stated.batch) + 10


def test_peaks_on_a_gpu_are_shown_beside_what_was_said():
    head = {"problem": "digits", "strategy": "summed", "phase": "peak", "device": "cuda", "kind": "observed"}
    head |= {"status": "ok"}
    torch = {"bytes": 1100, "requested": 1050, "accounted": 1050, "simulated": 1000, "workspaces": {"aten.mm": 50}}
    of = [{"framework": "torch"} | torch, {"framework": "jax", "bytes": 256, "planned": 256}]
    found = gpu_tables.tables([head | row for row in of])
    assert [table.lines for table in found] == [
        [["summed", "1,100", "1,000", "+10.0%", "50"]],
        [["mm", "50"]],
        [["summed", "256", "256", "+0.0%"]],
    ]
    assert "0 of 1 peaks within 2%" in found[0].title
    assert "1 of 1 to the byte" in found[0].title


def test_a_workspace_is_what_an_operator_takes_beyond_what_it_returns(monkeypatch):
    """With an allocator that always says: 150 B at most, 50 B at the end."""
    stats = {"requested_bytes.all.peak": 150, "requested_bytes.all.current": 50}
    monkeypatch.setattr("torch.cuda.memory_stats", lambda: stats)
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda: None)
    settled = []
    monkeypatch.setattr("torch_impl.memory.allocations.settle", settled.append)
    with torch_impl.memory.Workspaces() as seen:
        torch.ones(4, device="meta") + torch.ones(4, device="meta")
    assert seen.inside == {"aten.ones": 100, "aten.add.Tensor": 100}
    assert (seen.peak, seen.whole) == (48, 148)
    assert settled == ["cuda"]


def test_a_program_runs_in_a_process_of_its_own():
    """On the CPU it runs, and its peak is not known; with an argument of another size it does not run."""
    with jax_scope("float32", "cpu"):
        program, arguments = sides.jax_program("lesson", "summed", sides.jax_side("lesson", problem("lesson", "tiny")))
        with pytest.raises(RuntimeError, match="this device keeps no memory statistics"):
            sides.jax_peak_alone(program, arguments)
        other = jax.tree.map(lambda array: array[:, :1], arguments)
        with pytest.raises(RuntimeError, match="compiled"):
            sides.jax_peak_alone(program, other)
