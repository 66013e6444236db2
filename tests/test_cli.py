"""The command as a reader meets it: answers, mistakes, crashes and Ctrl-C."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import typer

from comparisons import ahead, cli, job, memory, usage
from comparisons.rows import Unit

ROOT = Path(__file__).parent.parent


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process; gives (exit status, stdout, stderr)."""

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["gradparity", *map(str, argv)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["gradients", "--problem", "digit"],
            "--problem 'digit' is not known; did you mean 'digits'? (accepted: lesson,",
        ),
        (["gradients", "--strategy", "sumed"], "--strategy 'sumed' is not known; did you mean 'summed'?"),
        (["gradients", "--dtype", "float46"], "did you mean 'float64'?"),
        (["gradients", "--size", "huge"], "--size 'huge' is not known"),
        (["--size", "xyz"], "--size 'xyz' is not known (accepted: tiny, default, large)"),
        (["gradients", "--device", "tpu"], "(accepted: cpu, cuda)"),
        (["gradients", "--json", "/nowhere/rows.json"], "--json '/nowhere/rows.json' cannot be written: No such file"),
        (["gradients", "--json", "."], "--json '.' is a directory; name a file, such as 'results.json'"),
        (["--output", "/dev/null/x"], "--output '/dev/null/x' cannot be made: Not a directory"),
        (["show", "per_los_retained"], "did you mean 'per_loss_retained'?"),
        (["show"], "Missing argument 'strategy'"),
        (["gradient"], "No such command 'gradient'"),
        (["--size", "tiny", "gradients"], "--size stands before 'gradients': write it after, where `gradients --help`"),
        (["--colour"], "No such option: --colour"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_a_mistake_is_one_line_and_exit_2(command, argv, message):
    status, out, err = command(*argv)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


GIVEN = {
    "problem": "many_heads",
    "strategy": "summed",
    "dtype": "float64",
    "size": "tiny",
    "device": "cpu",
    "jobs": "2",
}
GIVEN |= {"part": "flops", "k": "8", "peer": "torchjd.jac", "claim": "3", "name": "peers", "fits": "80GB"}
WITH = {"fits": "--simulate", "plans": "--simulate", "resume": "--json"}
JOBS = {name: own for name, own in typer.main.get_command(cli.app).commands.items() if not own.params[0].required}
OPTIONS = [(name, option.name) for name, own in JOBS.items() for option in own.params if name != "report"]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_is_accepted_alone(command, monkeypatch, tmp_path, name, option):
    """Or with the one that it is of."""
    taken, file = [], str(tmp_path / "rows.json")
    monkeypatch.setattr(job, "take", lambda units, *_, **named: taken.append(units) or 0)
    argv = [f"--{option}", *filter(None, [(GIVEN | {"json": file}).get(option), WITH.get(option)])]
    assert command(name, *argv, *([file] if option == "resume" else []))[0] == 0
    assert taken[0]


@pytest.mark.parametrize("given", [None, "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"])
def test_jobs_share_a_gpus_memory_unless_the_reader_says_how(monkeypatch, given):
    """JAX takes one of the two names, and refuses both."""
    monkeypatch.setattr(os, "environ", {given: "0.1"} if given else {})
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(platform="gpu")])
    usage.device("cuda")
    assert set(os.environ) == {"XLA_PYTHON_CLIENT_PREALLOCATE", given} - {None}
    usage.device("cuda", jobs=3)
    assert {name: size for name, size in os.environ.items() if "FRACTION" in name} == (
        {given: "0.1"} if given else {"XLA_CLIENT_MEM_FRACTION": "0.250"}
    )


def test_cuda_without_a_gpu_is_refused(command):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    status, _, err = command("gradients", "--device", "cuda")
    assert status == 2
    assert err == "error: --device cuda: this PyTorch sees no GPU; use --device cpu, or install a CUDA build of torch\n"


@pytest.mark.parametrize(
    ("version", "message"),
    [(None, "flax is not installed: pip install 'flax>=0.12'"), ("0.8.1", "flax 0.8.1 is too old: pip install")],
)
def test_a_missing_or_old_framework_is_refused(command, monkeypatch, version, message):
    right = usage.metadata.version

    def found(name):
        if name != "flax":
            return right(name)
        if version is None:
            raise usage.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(usage.metadata, "version", found)
    status, _, err = command("gradients")
    assert status == 2
    assert message in err


def test_the_oldest_accepted_versions_are_those_of_the_package():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lowest = dict(re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in stated)
    assert {name: ".".join(map(str, oldest)) for name, oldest in usage.OLDEST.items()} == {
        name: lowest[name] for name in usage.OLDEST
    }


def test_gradients_prints_a_grid_and_writes_its_rows(command, tmp_path):
    file = tmp_path / "rows.json"
    status, out, _ = command(
        "gradients", "--problem", "lesson", "--strategy", "summed", "--size", "tiny", "--json", file
    )
    assert status == 0
    assert re.search(r"summed +0\n", out)
    assert "all 5 rows hold" in out or "all 3 rows hold" in out
    document = json.loads(file.read_text())
    assert document["schema"] == 1
    assert {"machine", "torch", "jax", "flax", "python", "time"} <= document["environment"].keys()
    assert {row["dtype"] for row in document["gradients"]} == {"float64", "float32"}
    assert list(tmp_path.iterdir()) == [file]


def test_a_difference_is_exit_1_and_named(command, monkeypatch):
    import torch_impl.first_order
    from comparisons.gradients import evaluate

    right = torch_impl.first_order.per_loss_split

    def halved(losses, params):
        found = right(losses, params)
        return found | {"main": {"w": 0.5 * found["main"]["w"]}}

    monkeypatch.setattr(torch_impl.first_order, "per_loss_split", halved)
    evaluate.cache_clear()
    status, out, err = command("gradients", "--problem", "lesson", "--strategy", "per_loss_split", "--size", "tiny")
    evaluate.cache_clear()
    assert status == 1
    assert "differs: gradients/lesson/per_loss_split" in err
    assert "actual = 2 x expected" in err
    assert "DIFFERS 1.0e+00" in out
    assert "1 of 2 rows do not hold" in out


@pytest.fixture
def interruptible():
    """What starts here can be interrupted, though a script may have started the tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_what_was_measured(jobs, tmp_path):
    file = tmp_path / "rows.json"
    argv = [
        sys.executable,
        "-m",
        "comparisons",
        "gradients",
        "--full",
        "--size",
        "tiny",
        "--jobs",
        jobs,
        "--json",
        file,
    ]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, cwd=ROOT, text=True, start_new_session=True, **streams) as run:
        assert run.stderr.readline().startswith("lesson: ")
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "what was measured is kept" in out
    assert "Traceback" not in err
    assert {row["problem"] for row in json.loads(file.read_text())["gradients"]} >= {"lesson"}


def test_what_is_timed_runs_first_and_in_this_process():
    shared = [Unit("memory", "group", str(k), list) for k in range(2)]
    alone = Unit("memory", "looking", "", list, timed=True)
    found = ahead.ahead([*shared, alone], 2)
    assert found[0] is alone
    assert [unit.label for unit in found[1:]] == ["0", "1"]
    assert all(unit.timed for unit in memory.units([], "tiny", "cpu") if unit.group == "looking")


def test_ctrl_c_is_for_the_first_process_alone():
    """In one that is about to load, it would print where it was."""
    (unit,) = ahead.ahead([Unit("memory", "group", "", partial(signal.pthread_sigmask, signal.SIG_BLOCK, ()))], 2)
    assert unit.rows() == {signal.SIGINT}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_between_two_units_ends_the_processes():
    def press():
        raise KeyboardInterrupt

    done, endless = ahead.ahead(
        [Unit("memory", "group", "", list), Unit("memory", "", "", partial(time.sleep, 600))], 2
    )
    assert job.take([done, Unit("memory", "group", "", press), endless], "cpu") == 130
    for child in multiprocessing.active_children():
        child.join(timeout=30)
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_before_anything_was_measured_costs_no_file(tmp_path):
    file = tmp_path / "rows.json"
    file.write_text("{}")
    (unit,) = ahead.ahead([Unit("memory", "group", "", partial(os._exit, 1))], 2)
    with pytest.raises(usage.BadUsage, match="take fewer --jobs\\): nothing was measured"):
        job.take([unit], "cpu", file)
    assert file.read_text() == "{}"


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_processes_end_with_the_first():
    argv = [sys.executable, "-m", "comparisons", "gradients", "--full", "--size", "tiny", "--jobs", "2"]
    with subprocess.Popen(argv, cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True) as run:
        assert run.stderr.readline().startswith("lesson: ")
        run.kill()
    deadline = time.monotonic() + 30
    while alive(run.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive(run.pid)


def test_what_was_measured_is_kept_if_a_process_dies(tmp_path, capsys):
    file = tmp_path / "rows.json"
    late = partial(exec, "import os, time; time.sleep(3); os._exit(1)", {})
    units = [Unit("memory", "group", "", list), Unit("memory", "group", "", late)]
    assert job.take(ahead.ahead(units, 2), "cpu", file) == 1
    assert "a process died (of memory? take fewer --jobs) after 1 of 2; what was" in capsys.readouterr()[0]
    assert json.loads(file.read_text())["memory"] == []


LOST = """
import atexit, gc, os, signal, sys
from comparisons import cli, job
def press(phase, info):
    gc.callbacks.remove(press)
    os.kill(os.getpid(), signal.SIGINT)
before = job.take
def take(*arguments, **named):
    gc.callbacks.append(press)
    gc.collect()
    return before(*arguments, **named)
job.take = take
atexit.register(os.abort)
cli.main()
"""


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_that_a_callback_of_the_collector_swallows_is_not_lost(tmp_path):
    """Most of JAX's start is such: an exception in a callback is printed and goes no further.

    The interpreter's own end is left out: while a thread of JAX is at work it may crash.
    """
    file = tmp_path / "rows.json"
    file.write_text("{}")
    argv = [sys.executable, "-c", LOST, "gradients", "--problem", "lesson", "--size", "tiny", "--json", file]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "interrupted\n")
    assert file.read_text() == "{}"


LESSON = [sys.executable, "-m", "comparisons", "gradients", "--problem", "lesson", "--size", "tiny"]


def test_jobs_give_the_rows_of_one_process(tmp_path):
    """To the last bit, and in the same order."""
    found = []
    for jobs in ("1", "2"):
        file = tmp_path / f"{jobs}.json"
        few = ["--problem", "many_heads", "--strategy", "summed", "--strategy", "accumulated"]
        subprocess.run([*LESSON, *few, "--jobs", jobs, "--json", file], cwd=ROOT, check=True)
        found.append(json.loads(file.read_text())["gradients"])
    assert found[0] == found[1] != []


def closed(argv, **streams):
    """The status, and what is said on stderr if that is left open, where nobody reads stdout."""
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, **streams) as run:
        run.stdout.close()
        said = run.stderr.read() if run.stderr else ""
    return run.returncode, said


@pytest.mark.parametrize("stderr", [subprocess.PIPE, subprocess.STDOUT], ids=["open", "closed too"])
def test_a_reader_that_goes_away_changes_neither_the_file_nor_the_status(stderr, tmp_path):
    file = tmp_path / "rows.json"
    status, said = closed([*LESSON, "--json", file], stderr=stderr)
    assert status == 0
    assert "Traceback" not in said
    assert json.loads(file.read_text())["gradients"]


def test_a_text_that_nobody_reads_is_neither_right_nor_wrong():
    """141, as a shell says it: 1 would mean that something does not hold."""
    assert closed([sys.executable, "-m", "comparisons", "show", "summed"], stderr=subprocess.PIPE) == (141, "")


def test_an_ignored_ctrl_c_stays_ignored():
    """As a shell starts what runs in the background of a script."""
    argv = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *LESSON]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        for _ in range(30):
            time.sleep(0.1)
            os.kill(run.pid, signal.SIGINT)
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    assert out.endswith("rows hold\n")


@pytest.mark.parametrize("width", ["80", "200"])
def test_show_prints_both_sources(command, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    status, out, _ = command("show", "per_loss_retained")
    assert status == 0
    assert "torch_impl/first_order/per_loss.py" in out
    assert "retain_graph=name != last" in out
    assert "jax.vjp(losses.trunk, params)" in out


@pytest.mark.parametrize("run", [lambda units: job.take(units, "cpu"), lambda units: [*map(ahead._work, units)]])
def test_jax_forgets_the_programs_of_a_group_at_its_end(run):
    """In one process, and in each of several."""
    compiled, sizes = jax.jit(lambda x: x + 1), []

    def rows():
        compiled(np.zeros(len(sizes)))
        sizes.append(compiled._cache_size())
        return []

    run([Unit("graphs", group, "", rows) for group in ("one", "one", "two")])
    assert sizes == [1, 2, 1]
