"""A reader's files: their functions and arrays, with their own tracebacks where they fail."""

import difflib
import importlib
import importlib.util
import sys
import traceback
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from comparisons import layout as gradparity_layout
from comparisons.layout import Layout, checked
from comparisons.usage import BadInput, BadUsage, known

HIDDEN = ("torch", "jax", "flax", "numpy")  # a file of such a name stands in front of the package


class ReaderFailure(BadUsage):
    """The reader's code raised; the text is the traceback through their files, without ours."""

    def __init__(self, error: BaseException, names: Collection[str] = ()):
        ours = str(Path(__file__).parent.parent)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((ours, "<frozen"))]
        error.__notes__ = [note for note in getattr(error, "__notes__", ()) if "JAX has removed" not in note]
        lines = traceback.format_list(frames) + traceback.format_exception_only(error)
        text = "your code raised\n" + "".join(lines).rstrip()
        if isinstance(error, KeyError) and (
            near := difflib.get_close_matches(str(error.args[0]), [*{*names} - {error.args[0]}], n=3, cutoff=0.4)
        ):
            text += f"\nthe nearest parameters: {', '.join(map(repr, near))}"
        super().__init__(text)


def load(argument: str, given: str) -> tuple[ModuleType, Callable]:
    """`path/to/file.py:losses` or `package.module:losses`, imported; its folder is on the path, as for a script."""
    source, colon, name = given.rpartition(":")
    if not colon or not source or not name:
        raise BadUsage(f"{argument} {given!r}: give path/to/file.py:losses or package.module:losses")
    path = Path(source)
    if source.endswith(".py") and not path.is_file():
        raise BadUsage(f"{argument} {given!r}: there is no file {str(path)!r}")
    if source.endswith(".py") and path.stem in HIDDEN:
        raise BadUsage(f"{argument} {given!r}: a file named {path.name} hides the package {path.stem}: rename it")
    folder = str(path.resolve().parent if source.endswith(".py") else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = _from_file(path) if source.endswith(".py") else importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name and (source == error.name or source.startswith(f"{error.name}.")):
            raise BadUsage(f"{argument} {given!r}: there is no module {error.name!r} here") from None
        raise ReaderFailure(error) from None
    except (Exception, SystemExit) as error:
        raise ReaderFailure(error) from None
    if not hasattr(module, name):
        known(f"{argument} {source}:", [name], _functions(module))
    found = getattr(module, name)
    if not callable(found):
        raise BadUsage(f"{argument} {given!r}: {name} is no function (it is of type {type(found).__name__})")
    return module, found


def layout_of(module: ModuleType, given: str) -> Layout | None:
    """The JAX file's `layout`, where it has one; not the module of that name, which it may import."""
    found = getattr(module, "layout", None)
    try:
        return None if found is None or found is gradparity_layout else checked(found)
    except BadInput as error:
        raise BadUsage(f"JAX {given!r}: {error}") from None


def arrays(path: Path | None, module: ModuleType, given: str) -> Mapping:
    """The .npz's arrays, or the PyTorch file's own `params()`."""
    if path is not None:
        return _file(path)
    if not callable(getattr(module, "params", None)):
        raise BadUsage(f"TORCH {given!r} has no params() and --params was not given: one of them names the arrays")
    try:
        found = module.params()
    except Exception as error:
        raise ReaderFailure(error) from None
    if not isinstance(found, Mapping):
        raise BadUsage(f"TORCH {given!r}: params() gives a {type(found).__name__}; it must give {{name: array}}")
    return found


def _functions(module: ModuleType) -> list[str]:
    """What the file itself defines, or what it holds where it defines nothing."""
    held = {name: f for name, f in vars(module).items() if callable(f) and name[0] != "_"}
    return [name for name, f in held.items() if getattr(f, "__module__", "") == module.__name__] or list(held)


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
        held = np.load(path)
        if not hasattr(held, "files"):
            raise ValueError("it holds one array without a name")
        with held:
            return dict(held)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        reason = "it holds objects, or no arrays at all" if "pickle" in reason else reason
        remedy = "write it by np.savez(FILE, **arrays)"
        raise BadUsage(f"--params {str(path)!r} is not an .npz of named arrays: {reason}; {remedy}") from None
