"""Results on disk: one JSON document a run, with the machine and the versions that it came from."""

import datetime
import json
import math
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

SCHEMA = 1


def environment(device: str) -> dict[str, object]:
    """Where and with what a run was made."""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _gpu() if device == "cuda" else _cpu(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "jax", "flax", "numpy")},
        **{name: os.environ[name] for name in ("XLA_FLAGS",) if name in os.environ},
    }


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write(path: Path, document: dict[str, object]) -> None:
    """The document as JSON, a row a line, in one step: a reader sees the old file or the new one, never half."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(_finite(row), allow_nan=False) for row in value)
            parts.append(f'"{key}": [\n{rows}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value, allow_nan=False)}')
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text("{" + ",\n".join(parts) + "}\n")
    partial.replace(path)


def _finite(row: dict) -> dict:
    """JSON has no infinity: null, and the row's reason says why."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _commit() -> str | None:
    """The commit of this checkout, and whether its sources had changed since."""
    found = _git("rev-parse", "--short", "HEAD")
    return f"{found}, with changes" if found and _git("status", "--porcelain", "--", "*.py") else found or None


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(["git", *arguments], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    except OSError:
        return ""
    return found.stdout.strip()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name()
