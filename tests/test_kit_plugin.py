"""The pytest plugin, run in pytests of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parent.parent
OPTIONS = ("-p", "no:cacheprovider", "-p", "no:gradparity", "-p", "comparisons.pytest_plugin", "-p", "no:xdist")


@pytest.fixture
def run(pytester):
    """A test file of a reader's project, run in this process; NumPy stands in for both frameworks."""

    def given(source, *options):
        pytester.makepyfile("import numpy as np\nimport pytest\n" + source)
        return pytester.runpytest_inprocess(*OPTIONS, *options)

    return given


EQUAL = "def test_equal(gradients_match):\n    gradients_match({'a': {'w': np.ones(3)}}, {'a': {'w': np.ones(3)}})\n"
HALVED = (
    "def test_halved(gradients_match):\n    gradients_match({'a': {'w': np.ones(3)}}, {'a': {'w': 2 * np.ones(3)}})\n"
)


def test_the_summary_counts_comparisons(run):
    found = run(EQUAL + HALVED)
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(
        [
            "*gradients differ in 1 of 1 (loss, parameter) pairs*",
            "*hint: actual = 0.5 x expected*",
            "gradparity: 2 comparisons of 2 (loss, parameter) pairs, 1 differ; worst that holds 0.0e+00 of *",
        ]
    )


def test_a_run_without_the_fixture_says_nothing(run):
    found = run("def test_other():\n    pass\n")
    found.assert_outcomes(passed=1)
    found.stdout.no_fnmatch_line("*gradparity: *")


def test_markers_set_order_and_tolerance(run):
    near = "({'a': {'w': np.ones(3)}}, {'a': {'w': np.ones(3) + 1e-9}})"
    found = run(
        f"@pytest.mark.gradient_tolerance(1e-6)\n@pytest.mark.gradient_order(2)\n"
        f"def test_loose(gradients_match):\n    assert gradients_match{near}.order == 2\n"
        f"@pytest.mark.gradient_tolerance(1e-6)\n"
        f"def test_the_call_wins(gradients_match):\n    with pytest.raises(AssertionError, match='1.00e-15'):\n"
        f"        gradients_match{near[:-1]}, tolerance=1e-15)\n",
        "--strict-markers",
    )
    found.assert_outcomes(passed=2)


def test_a_marker_without_a_number_is_a_usage_error(run):
    found = run("@pytest.mark.gradient_order\n" + EQUAL)
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*@pytest.mark.gradient_order takes one number*"])


def test_a_file_that_cannot_be_written_is_said_before_any_test(run):
    found = run(EQUAL, "--gradparity-json", "no/such/folder.json")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --gradparity-json 'no/such/folder.json' cannot be written: No such file*"])


OWN = (ROOT / "lessons" / "test_own_port.py").read_text()


def test_the_worked_example_of_a_projects_own_test_file_passes_and_finds_a_bug(pytester, monkeypatch):
    """In a process of its own: no process can load PyTorch twice."""
    bug = OWN.replace('"size": jnp.abs(y).sum()', '"size": jax.lax.stop_gradient(jnp.abs(y)).sum()')
    assert bug != OWN
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(test_own_port=OWN, test_with_a_bug=bug)
    found = pytester.runpytest_subprocess(*OPTIONS, "-v", "--strict-markers", "-k", "own_port or same_losses")
    found.assert_outcomes(passed=4, failed=1, deselected=3)
    found.stdout.fnmatch_lines(
        [
            "*elsewhere?0.1? PASSED*",
            "*elsewhere?10? PASSED*",
            "*-> fix jax: *",
            "*hint*: zero in jax*",
            "gradparity: 5 comparisons of 14 *, 1 differ*",
        ]
    )


def test_ids_are_readable_where_the_fixture_is_used(run):
    table = "@pytest.mark.parametrize('x', [np.ones((3, 4)), {'w': np.ones(2, np.float32)}])\n"
    used = f"{table}def test_used(gradients_match, x):\n    pass\n"
    found = run(used + f"{table}def test_other(x):\n    pass\n", "-v")
    found.stdout.fnmatch_lines(
        ["*test_used?float64?3, 4??*", "*test_used?w=float32?2??*", "*test_other?x0?*", "*test_other?x1?*"]
    )


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "xdist"])
def test_every_comparison_is_written(pytester, monkeypatch, workers):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile("import numpy as np\n" + EQUAL + HALVED)
    options = [
        option for pair in zip(OPTIONS[::2], OPTIONS[1::2], strict=True) for option in pair if pair[1] != "no:xdist"
    ]
    pytester.runpytest_subprocess(*options, *workers, "--gradparity-json", "found.json")
    document = json.loads((pytester.path / "found.json").read_text())
    rows = {row["id"].partition("::")[2]: row for row in document["comparisons"]}
    assert rows["test_equal#0"]["status"] == "ok"
    assert rows["test_halved#0"] | {"id": None} == {
        "id": None,
        "status": "differs",
        "order": 1,
        "pairs": 1,
        "unequal": 1,
        "loss": "a",
        "parameter": "w",
        "relative_error": 0.5,
        "tolerance": 1e-12,
        "reason": "actual = 0.5 x expected: a reduction (mean or sum), a loss weight, a sign?",
    }


def test_the_plugin_loads_no_framework():
    code = (
        "import sys, pytest; pytest.main(['--version', '-p', 'no:gradparity', '-p', 'comparisons.pytest_plugin']); "
        "import comparisons.pytest_plugin; "
        "print([name for name in ('numpy', 'torch', 'jax', 'flax') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_its_start_is_measured(capsys):
    from comparisons.speed import plugin_start

    row = plugin_start(runs=3)
    assert row["target"] == 0.02
    assert 0 < row["seconds"] < 10
    assert "ms (target 20)" in capsys.readouterr().out


def test_the_fixture_runs_two_functions(gradients_match_losses):
    assert gradients_match_losses.gradients.order == 1


@pytest.fixture
def gradients_match_losses(request):
    from comparisons.pytest_plugin import Match

    match = Match(request.node, {"tolerance": 1e-10})
    point = {"w": np.array([1.0, 2.0])}
    return match.losses(lambda p: {"a": (p["w"] ** 2).sum()}, lambda p: {"a": (p["w"] ** 2).sum()}, point)
