"""`cost` as a reader meets it: rows, targets with causes, memory predicted before running, and mistakes."""

import json
import sys

import pytest
import torch

import torch_impl.first_order
from comparisons import cli, cost
from comparisons.cost import accuracy, calls, harness, profile, room, shared, tables, times
from comparisons.cost.regimes import TIMED, place
from comparisons.cost.targets import targets
from comparisons.pitfalls.compiled import compiler

SMALL = place("heads", 3, batch=16, width=8, depth=2, hidden=8)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process; gives (exit status, stdout, stderr)."""

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["gradparity", "cost", *map(str, argv)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--k", "0"], "--k 0: give at least 1, the number of losses"),
        (["--k", "1000000"], "GB are free; --k "),
        (["--k", "x"], "Invalid value for '--k'"),
        (["--problem", "overhed"], "--problem 'overhed' is not known; did you mean 'overhead'? (accepted: lesson,"),
        (["--strategy", "sumed"], "--strategy 'sumed' is not known; did you mean 'summed'?"),
        (["--part", "tim"], "--part 'tim' is not known; did you mean 'time'?"),
        (["--device", "tpu"], "(accepted: cpu, cuda)"),
        (["--resume"], "--resume needs --json FILE, the file to go on with"),
        (["--json", "."], "--json '.' is a directory"),
        (["--part", "shared", "--problem", "digits"], "these options together select nothing: leave one of --part,"),
        (["--part", "time", "--problem", "lesson", "--json", "rows.json"], "these options together select nothing"),
        (["--part", "flops", "--k", "3"], "--k is of time and peers, not of --part flops: leave it out"),
        (["--part", "time", "--peer", "torchjd.jac"], "--peer is of peers, not of --part time: leave it out"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_a_mistake_is_one_line_and_exit_2(command, argv, message):
    status, out, err = command(*argv)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_what_is_named_is_all_that_is_timed():
    named = [unit.label for unit in cost.units(["time"], ["overhead"], ["summed"], [3])]
    assert named == ["time  overhead  K=3"]
    assert "time  overhead  K=2  JAX without jit" in [unit.label for unit in cost.units(["time"], ["overhead"])]


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("strategy", TIMED)
def test_the_predicted_memory_bounds_the_measured_peak(framework, strategy):
    with calls.scope():
        peak = (calls.eager if framework == "torch" else calls.jit)(SMALL, strategy).peak
    assert peak <= room.needed(SMALL)


def test_the_k_that_is_offered_fits(monkeypatch):
    monkeypatch.setattr(room, "available", lambda device: 10**8)
    with pytest.raises(room.BadUsage, match=r"--k (\d+) fits") as refused:
        room.check([4096], ["heads"])
    fits = int(str(refused.value).split("--k ")[-1].split()[0])
    assert room.needed(place("heads", fits)) <= 10**8 < room.needed(place("heads", fits + 1))
    room.check([fits], ["heads"])


def test_shared_and_recomputed(command, tmp_path):
    file = tmp_path / "rows.json"
    status, out, _ = command("--part", "shared", "--json", file)
    assert status == 0
    assert "products: the gradient of the sum 11/11 (11.2)" in " ".join(out.split())
    rows = json.loads(file.read_text())["cost"]
    counted = {(row["framework"], row["says"]): row["counted"] for row in rows}
    assert [counted["torch", says] for says in shared.EXAMPLES] == [11, 18, 22, 22, 1, 4, 4]
    assert [counted["jax", says] for says in shared.EXAMPLES] == [11, 18, 18, 22, 1, 4, 4]
    status, out, _ = command("--part", "shared", "--json", file, "--resume")
    assert status == 0
    assert json.loads(file.read_text())["cost"] == rows


def test_a_forward_that_is_not_shared_is_seen(monkeypatch):
    right = torch_impl.first_order.per_loss_recomputed
    monkeypatch.setattr(torch_impl.first_order, "per_loss_retained", right)
    says = "products: the sum of two gradients, one forward"
    row = shared._row("torch", says, shared.EXAMPLES[says])
    assert (row["status"], row["reason"]) == ("differs", "counted 22.00, but theory says 18")


def test_an_error_is_told_in_eps_of_its_dtype():
    at = place("overhead", 2, batch=4, width=4, depth=1)
    for dtype, eps in (("float32", 2**-23), ("bfloat16", 2**-7)):
        found = calls.eager(at, "summed", dtype=dtype).run()
        near = accuracy.eps("torch", at, "summed", found, dtype)
        bias = found["total"]["heads.0.out.bias"]
        bias += 100 * eps * bias.abs()
        assert near < 60 < accuracy.eps("torch", at, "summed", found, dtype)


def test_the_harness_measures_what_it_times(monkeypatch):
    ran = []

    def interleaved(made, *_):
        ran.append([call() is not None for call in made.values()])
        return {"bare": [1.0] * 3, "timed": [1.01] * 3}

    monkeypatch.setattr(harness, "interleaved", interleaved)
    rows = harness.rows()
    assert ran == [[True, True]] * 2
    assert [row["time_ratio"] for row in rows] == [1.01] * 2
    assert all(row["cores_busy"] > 0 for row in rows)
    assert [line[0] for table in tables(rows) for line in table.lines if "cores" in table.title] == ["torch", "jax"]


def test_a_program_is_compiled_once_for_each_precision():
    at = place("overhead", 2, batch=4, width=4, depth=1)
    with calls.scope():
        exact = calls.program(at, "summed")
        assert calls.program(at, "summed") is exact
        assert calls.program(at, "summed", dtype="bfloat16") is not exact
    with calls.scope(tf32=True):
        assert calls.program(at, "summed") is not exact


HLO = """HloModule jit_f

%inner (p: f32[4,4]) -> f32[4,4] {
  %p = f32[4,4]{1,0} parameter(0)
  ROOT %dot.1 = f32[4,4]{1,0} dot(%p, %p), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%plain (p: f32[4,4]) -> f32[4,4] {
  %p.2 = f32[4,4]{1,0} parameter(0)
  ROOT %t = f32[4,4]{1,0} tanh(%p.2)
}

ENTRY %main (a: f32[4,4]) -> f32[4,4] {
  %a = f32[4,4]{1,0} parameter(0)
  %ynn_fusion.4 = f32[4,4]{1,0} fusion(%a), kind=kCustom, calls=%inner
  %tanh_fusion = f32[4,4]{1,0} fusion(%ynn_fusion.4), kind=kLoop, calls=%plain
  ROOT %dot.7 = f32[4,4]{1,0} dot(%tanh_fusion, %a), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""


def test_a_programs_products_are_told_from_the_rest():
    assert profile.instructions(HLO) == ({"ynn_fusion.4", "dot.7"}, {"a", "ynn_fusion.4", "tanh_fusion", "dot.7"})


def timed(framework, mode, strategy, **more):
    row = {"id": f"cost/time/compute-losses8/{strategy}/cpu/{mode}", "kind": "time", "regime": "compute", "losses": 8}
    row |= {"strategy": strategy, "framework": framework, "mode": mode, "precision": "float32", "status": "ok"}
    return row | {"flop_ratio": 1.0, "in_products": 0.5, "beside": "tanh 20%"} | more


def test_targets_say_what_was_measured_and_why_it_was_missed():
    rows = [
        timed("torch", "eager", "summed", efficiency=1.0, in_products=0.9),
        timed("torch", "eager", "per_loss_retained", efficiency=0.9),
        timed("torch", "eager", "per_loss_batched", efficiency=0.5, in_products=0.6),
        timed("jax", "jit", "per_loss_retained", against_torch=1.25, rival="per_loss_retained"),
        timed("jax", "jit", "per_loss_split", against_torch=1.2, rival="per_loss_retained", in_products=0.4),
        {"kind": "shared", "says": "sum", "framework": "torch", "counted": 11, "xla": 11.2, "status": "ok"},
        {"kind": "harness", "framework": "torch", "time_ratio": 1.03, "spread": [1.0, 1.06], "status": "ok"},
        {"kind": "harness", "framework": "jax", "time_ratio": 0.99, "spread": [0.9, 1.1], "status": "ok"},
    ]
    assert [line for table in targets(rows) for line in table.lines] == [
        ["torch per_loss_retained K=8", "met", "90%", ""],
        [
            "torch per_loss_batched K=8",
            "missed",
            "50%",
            "products take 60% of its time (90% of summed's) at 75% of summed's rate; then tanh 20%",
        ],
        ["compute K=8", "missed", "1.20", "products take 40% of JAX's time, 50% of PyTorch's; then tanh 20%"],
        ["torch", "missed", "+3.0% (quartiles +0.0%, +6.0%)", "the quartiles lie on both sides of it: noise"],
        ["jax", "met", "-1.0% (quartiles -10.0%, +10.0%)", ""],
    ]
    assert tables(rows)


def test_without_a_compiler_there_is_a_reason(monkeypatch):
    monkeypatch.setattr(times, "compiler", lambda: None)
    (row,) = times.through_inductor(SMALL, "cpu")
    assert row["status"] == "not_measured"
    assert row["reason"] == "torch.compile needs a C++ compiler: none found"
    assert tables([row])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")  # inductor's
@pytest.mark.skipif(compiler() is None, reason="torch.compile needs a C++ compiler: none found")
def test_compiled_pytorch_gives_the_same_gradients():
    rows = times.through_inductor(place("overhead", 2, batch=4, width=4, depth=1), "cpu")
    assert [(row["strategy"], row.get("reason")) for row in rows] == [(name, None) for name in calls.THROUGH_FUNC]
    assert all(row["eps"] < 1000 and row["compile_seconds"] > 0 for row in rows)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU that both frameworks see")
def test_tf32_is_off_on_both_sides_and_on_by_default():
    exact, default = (times.rows(place("conv"), (), device="cuda", tf32=tf32) for tf32 in (False, True))
    assert all(row["status"] == "ok" for row in exact + default)
    assert max(row["eps"] for row in exact) < 1000 < max(row["eps"] for row in default)
