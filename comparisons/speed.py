"""`python -m comparisons.speed`: how long the commands take on this machine, each in its own process."""

import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from comparisons import results

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "python -m comparisons --help": 0.5,
    "python -m comparisons gradients": 75,
    "python -m comparisons gradients --full": 300,
    "python -m comparisons memory": 60,
    "python -m comparisons higher_order": 90,
    "python -m comparisons cost": 120,
}
PLUGIN = "python -m pytest, what the plugin adds to its start"


def measure(command: str, target: float) -> dict:
    """Wall-clock seconds of one run, the process's start included."""
    with tempfile.TemporaryFile() as ignored:
        argv = [sys.executable if word == "python" else word for word in shlex.split(command)]
        start = time.perf_counter()
        subprocess.run(argv, cwd=ROOT, check=True, stdout=ignored, stderr=ignored)
        seconds = time.perf_counter() - start
    print(f"{command}: {seconds:.1f} s (target {target})")
    return {"id": f"speed/{command}", "status": "ok", "command": command, "seconds": seconds, "target": target}


def plugin_start(runs: int = 15, target: float = 0.02) -> dict:
    """Median seconds that the plugin adds to pytest's start: its import, by `-X importtime`, after pytest's own."""
    argv = [sys.executable, "-X", "importtime", "-c", "import pytest, comparisons.pytest_plugin"]
    found = []
    for _ in range(runs):
        log = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stderr
        (line,) = (line for line in log.splitlines() if line.endswith(" comparisons.pytest_plugin"))
        found.append(int(line.split("|")[1]) / 1e6)  # with what it imports
    seconds = statistics.median(found)
    print(f"{PLUGIN}: {seconds * 1e3:.1f} ms (target {target * 1e3:.0f})")
    return {"id": "speed/pytest plugin", "status": "ok", "command": PLUGIN, "seconds": seconds, "target": target}


if __name__ == "__main__":
    rows = [measure(command, target) for command, target in COMMANDS.items()] + [plugin_start()]
    document = {"schema": results.SCHEMA, "environment": results.environment("cpu"), "speed": rows}
    results.write(ROOT / "results" / "speed.json", document)
