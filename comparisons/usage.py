"""What is checked before any work: names, frameworks, the device, and where the results go."""

import difflib
import os
import tempfile
import warnings
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

OLDEST = {"torch": (2, 11), "jax": (0, 10), "flax": (0, 12)}


class BadUsage(Exception):
    """One line for the reader: what was given, what is accepted, and the remedy."""


class BadInput(BadUsage, ValueError):
    """Bad usage from code: the same one line, and a ValueError for whoever calls us."""


def quiet() -> None:
    """No word of PyTorch's to itself."""
    for message in ("`torch.jit.script` is deprecated", "A saved_tensors_hooks context"):
        warnings.filterwarnings("ignore", message)


def known(argument: str, given: Iterable[str], accepted: Iterable[str]) -> None:
    accepted = list(accepted)
    for name in given:
        if name not in accepted:
            nearest = difflib.get_close_matches(name, accepted, n=1, cutoff=0.4)
            guess = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise BadInput(f"{argument} {name!r} is not known{guess} (accepted: {', '.join(accepted)})")


def after(context: Any) -> None:
    """BadUsage where an option of the main job stands before a command, which would not see it."""
    command = context.invoked_subcommand
    for name in context.params:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            raise BadUsage(f"--{name} stands before {command!r}: write it after, where `{command} --help` has it")


def frameworks() -> None:
    for name, oldest in OLDEST.items():
        wanted = ".".join(map(str, oldest))
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise BadUsage(f"{name} is not installed: pip install '{name}>={wanted}'") from None
        if tuple(int(part) for part in version.split(".")[:2]) < oldest:
            raise BadUsage(f"{name} {version} is too old: pip install '{name}>={wanted}'")


def installed(name: str, remedy: str) -> None:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        raise BadUsage(f"{name} is not installed: {remedy}") from None


def device(name: str, jobs: int = 1) -> None:
    known("--device", [name], ("cpu", "cuda"))
    if name == "cpu":
        return
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the two frameworks share one GPU
    if jobs > 1 and not {"XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"} & os.environ.keys():
        os.environ["XLA_CLIENT_MEM_FRACTION"] = f"{0.75 / jobs:.3f}"  # of which JAX takes 0.75 for one process
    import jax
    import torch

    if not torch.cuda.is_available():
        raise BadUsage("--device cuda: this PyTorch sees no GPU; use --device cpu, or install a CUDA build of torch")
    if not any(d.platform == "gpu" for d in jax.devices()):
        raise BadUsage("--device cuda: this JAX sees no GPU; use --device cpu, or pip install 'jax[cuda13]'")


def writable(argument: str, path: Path | None, such_as: str = "results.json") -> None:
    if path is None:
        return
    if path.is_dir():
        raise BadUsage(f"{argument} {str(path)!r} is a directory; name a file, such as {str(path / such_as)!r}")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise BadUsage(f"{argument} {str(path)!r} cannot be written: {error.strerror} ({path.parent})") from None
