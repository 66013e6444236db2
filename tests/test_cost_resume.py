"""A long run that is interrupted goes on where it was: no unit is measured twice, none is lost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comparisons import job
from comparisons.live import Live
from comparisons.rows import Unit
from comparisons.usage import BadUsage

ROOT = Path(__file__).parent.parent
KILLED = """
import os, signal, sys
from pathlib import Path
from comparisons.live import Live
from comparisons.rows import Unit

def measured(name):
    with open(sys.argv[2], "a") as log:
        log.write(name)
    if name == "c" and len(sys.argv) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"id": name + "1", "status": "ok"}, {"id": name + "2", "status": "ok"}]

live, rows = Live(Path(sys.argv[1]), "cpu", resume=True), {"cost": []}
for unit in live.begin([Unit("cost", "g", n, lambda n=n: measured(n)) for n in "abcd"], rows):
    rows["cost"] += unit.rows()
    live.keep(unit, rows)
"""


def ids(file):
    return [row["id"] for row in json.loads(file.read_text())["cost"]]


def test_a_killed_run_measures_nothing_twice(tmp_path):
    file, log = tmp_path / "rows.json", tmp_path / "log"
    argv = [sys.executable, "-c", KILLED, str(file), str(log)]
    assert subprocess.run([*argv, "killed"], cwd=ROOT).returncode == -signal.SIGKILL
    assert ids(file) == ["a1", "a2", "b1", "b2"]
    assert subprocess.run(argv, cwd=ROOT).returncode == 0
    assert ids(file) == ["a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2"]
    assert log.read_text() == "abc" + "cd"
    assert sorted(os.listdir(tmp_path)) == ["log", "rows.json"]


@pytest.fixture
def taken(tmp_path, monkeypatch):
    """Run units by name through the job; gives (status, names measured)."""
    monkeypatch.setitem(job.TABLES, "cost", lambda rows: [])

    def run(outcomes, resume):
        log = []

        def rows(name):
            log.append(name)
            if outcomes[name] is KeyboardInterrupt:
                raise KeyboardInterrupt
            return [{"id": name, "status": outcomes[name], "reason": "told"}]

        units = [Unit("cost", "g", name, lambda name=name: rows(name)) for name in outcomes]
        return job.take(units, "cpu", file, live=Live(file, "cpu", resume)), log

    file = tmp_path / "rows.json"
    return run, file


def test_ctrl_c_then_resume(taken):
    run, file = taken
    assert run({"a": "ok", "b": KeyboardInterrupt, "c": "ok"}, resume=False) == (130, ["a", "b"])
    assert ids(file) == ["a"]
    assert run({"a": "ok", "b": "ok", "c": "ok"}, resume=True) == (0, ["b", "c"])
    assert ids(file) == ["a", "b", "c"]
    assert run({"a": "ok", "b": "ok", "c": "ok"}, resume=True) == (0, [])
    assert ids(file) == ["a", "b", "c"]


def test_what_failed_is_measured_again_and_a_new_run_begins_anew(taken):
    run, file = taken
    assert run({"a": "failed", "b": "differs"}, resume=False) == (1, ["a", "b"])
    assert run({"a": "ok", "b": "ok"}, resume=True) == (1, ["a"])
    assert sorted(ids(file)) == ["a", "b"]
    assert run({"a": "ok"}, resume=False) == (0, ["a"])
    assert ids(file) == ["a"]


def test_another_machines_times_are_not_mixed_in(taken):
    run, file = taken
    run({"a": "ok"}, resume=False)
    document = json.loads(file.read_text())
    document["environment"]["machine"] = "another"
    file.write_text(json.dumps(document))
    with pytest.raises(
        BadUsage, match=r"--resume: .* was measured elsewhere \(machine another, here .*\): name another"
    ):
        Live(file, "cpu", resume=True)


def test_a_file_is_resumed_with_the_options_it_was_begun_with(tmp_path):
    """They say what a unit measures: `--strategy summed`, and then without it, would count as done."""
    file, unit = tmp_path / "rows.json", Unit("cost", "g", "a", list)
    live = Live(file, "cpu", options="--strategy summed")
    live.begin([unit], {"cost": []})
    live.keep(unit, {"cost": [{"id": "a", "status": "ok"}]})
    with pytest.raises(BadUsage, match=r"was begun with other options \(--strategy summed, here none\)"):
        Live(file, "cpu", resume=True)
    assert Live(file, "cpu", resume=True, options="--strategy summed").begin([unit], {"cost": []}) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"environment": 3}'])
def test_a_file_that_holds_no_results_is_refused(tmp_path, text):
    file = tmp_path / "rows.json"
    file.write_text(text)
    with pytest.raises(BadUsage, match="holds no results"):
        Live(file, "cpu", resume=True)
