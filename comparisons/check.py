"""A reader's own pair: two functions of one {name: array}, compared, with their own tracebacks where they fail."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from comparisons.difference import Difference
from comparisons.layout import Layout, rule_of
from comparisons.usage import BadUsage, known


class ReaderFailure(BadUsage):
    """The reader's code raised; the text is the traceback through their files, without ours."""

    def __init__(self, error: BaseException):
        ours = str(Path(__file__).parent)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((ours, "<frozen"))]
        lines = traceback.format_list(frames) + traceback.format_exception_only(error)
        super().__init__("your code raised\n" + "".join(lines).rstrip())


def load(argument: str, given: str) -> tuple[ModuleType, Callable]:
    """`path/to/file.py:losses` or `package.module:losses`, imported; its folder is on the path, as for a script."""
    source, colon, name = given.rpartition(":")
    if not colon or not source or not name:
        raise BadUsage(f"{argument} {given!r}: give path/to/file.py:losses or package.module:losses")
    path = Path(source)
    if source.endswith(".py") and not path.is_file():
        raise BadUsage(f"{argument} {given!r}: there is no file {str(path)!r}")
    folder = str(path.resolve().parent if source.endswith(".py") else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = _from_file(path) if source.endswith(".py") else importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name and (source == error.name or source.startswith(f"{error.name}.")):
            raise BadUsage(f"{argument} {given!r}: there is no module {error.name!r} here") from None
        raise ReaderFailure(error) from None
    except Exception as error:
        raise ReaderFailure(error) from None
    found = getattr(module, name, None)
    if not callable(found):
        known(f"{argument} {source}:", [name], [n for n, f in vars(module).items() if callable(f) and n[0] != "_"])
        raise BadUsage(f"{argument} {given!r}: {name} is a {type(found).__name__}, not a function")
    return module, found


def compare(torch: str, jax: str, params: Path | None, order: int, explain: tuple[str, str] | None) -> int:
    """Print the diagnosis; 0 where all is equal, 1 where not."""
    from comparisons.testing import GradientMismatch, assert_losses_match

    torch_module, torch_losses = load("TORCH", torch)
    jax_module, jax_losses = load("JAX", jax)
    layout = getattr(jax_module, "layout", None)
    given = _file(params) if params else _own(torch_module, torch)
    try:
        agreement = assert_losses_match(torch_losses, jax_losses, given, layout=layout, order=order)
    except GradientMismatch as error:
        print(error)
        _explained(error.difference, explain, layout)
        return 1
    except BadUsage:
        raise
    except Exception as error:
        raise ReaderFailure(error) from None
    print(agreement)
    _explained(agreement.gradients, explain, layout)
    return 0


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _file(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as held:
            return dict(held)
    except (OSError, ValueError, AttributeError) as error:
        raise BadUsage(f"--params {str(path)!r} is not an .npz of named arrays: {error}") from None


def _own(module: ModuleType, given: str) -> Mapping[str, Any]:
    if not callable(getattr(module, "params", None)):
        raise BadUsage(f"TORCH {given!r} has no params() and --params was not given: one of them names the arrays")
    try:
        return module.params()
    except Exception as error:
        raise ReaderFailure(error) from None


def _explained(found: Difference, wanted: tuple[str, str] | None, layout: Layout | None) -> None:
    if wanted is None:
        return
    loss, parameter = wanted
    known("--explain LOSS", [loss], dict.fromkeys(pair.loss for pair in found.pairs))
    known("--explain PARAM", [parameter], dict.fromkeys(pair.parameter for pair in found.pairs))
    pair = next(pair for pair in found.pairs if (pair.loss, pair.parameter) == (loss, parameter))
    print(f"\nd {loss} / d {parameter}  {pair.dtype}{list(pair.shape)}: {'equal' if pair.equal else 'differs'}")
    print(f"  mapped by {rule_of(parameter, layout) if layout is not None else 'no layout: taken as it is'}")
    print(f"  worst {list(pair.worst)}: jax {pair.actual:.12e}, torch {pair.expected:.12e}")
    size = np.prod(pair.shape, dtype=int)
    print(f"  {pair.outside} of {size} elements outside {pair.tolerance:.0e} of {pair.scale:.2e}")
    for axis, rows in enumerate(pair.where):
        if pair.outside and len(pair.shape) > 1:
            share = (
                "every index" if len(rows) == pair.shape[axis] else f"{len(rows)} of {pair.shape[axis]}: {_brief(rows)}"
            )
            print(f"  along axis {axis}: {share}")
    if pair.outside and pair.factor is not None:
        middle, least, most = pair.factor
        print(f"  factor: jax / torch is {middle:.6g} in the middle, from {least:.6g} to {most:.6g}")
    if pair.hint:
        print(f"  hint: {pair.hint}")


def _brief(rows: tuple[int, ...]) -> str:
    return ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
