"""Whatever holds arrays, as {name: NumPy array}: tensors, JAX arrays, nested dicts, nnx.State, linen variables."""

import sys
from collections.abc import Mapping

import numpy as np

from comparisons.usage import BadInput


def as_numpy(array) -> np.ndarray | None:
    """A torch tensor (of any device and dtype), a JAX array or a NumPy array, as NumPy; None stays None.

    Half-precision arrays come back as float32: NumPy has no bfloat16.
    """
    if array is None:
        return None
    if hasattr(array, "detach"):
        array = array.detach().to_dense().cpu()
        array = array.float() if array.element_size() < 4 and array.is_floating_point() else array
        return array.resolve_conj().resolve_neg().numpy()
    found = np.asarray(array)
    return found.astype(np.float32) if found.dtype.name in ("bfloat16", "float16") else found


def flat(tree) -> dict[str, np.ndarray | None]:
    """One level of names, parts joined by dots. A lone "params" at the top, linen's, is taken off."""
    if isinstance(tree, Mapping) and list(tree) == ["params"] and isinstance(tree["params"], Mapping):
        tree = tree["params"]
    leaves = list(_leaves(tree, ()))
    found = dict(leaves)
    if len(found) < len(leaves):
        names = [name for name, _ in leaves]
        raise BadInput(f"two arrays are named {next(n for n in names if names.count(n) > 1)!r}: rename one of them")
    if len(found) == 1 and "" in found:
        raise BadInput(f"expected a mapping {{parameter: array}}, got a {type(tree).__name__}")
    return {name: _checked(name, leaf) for name, leaf in found.items()}


def _leaves(tree, path: tuple):
    if isinstance(tree, tuple) and hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif _number(tree):
        yield ".".join(map(str, path)), np.asarray(tree)
    elif isinstance(tree, (list, tuple)):
        for k, value in enumerate(tree):
            yield from _leaves(value, (*path, k))
    elif hasattr(tree, "get_value") and hasattr(tree, "get_metadata"):  # an nnx.Variable
        yield from _leaves(tree.get_value(), path)
    elif tree is None or hasattr(tree, "dtype"):
        yield ".".join(map(str, path)), tree
    else:
        yield from _pytree(tree, path)


def _pytree(tree, path: tuple):
    """What JAX knows as a container (nnx.State, a registered dataclass), one level of it."""
    inner = []
    if "jax" in sys.modules:
        import jax

        inner, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: x is not tree)
    if not inner or inner[0][0] == ():
        raise BadInput(f"{_titled(path)} is a {type(tree).__name__}: neither an array nor a mapping of them")
    for keys, value in inner:
        parts = tuple(next(getattr(k, a) for a in ("key", "name", "idx") if hasattr(k, a)) for k in keys)
        yield from _leaves(value, path + parts)


def _number(tree) -> bool:
    """A number, or a list of them: one array, such as a `params()` without NumPy gives."""
    if isinstance(tree, (list, tuple)):
        return len(tree) > 0 and all(map(_number, tree))
    return isinstance(tree, (int, float, complex))


def _titled(path: tuple) -> str:
    return repr(".".join(map(str, path))) if path else "what was given"


def _checked(name: str, leaf) -> np.ndarray | None:
    array = as_numpy(leaf)
    if array is not None and array.dtype.kind not in "fc":
        raise BadInput(
            f"{name!r} has dtype {array.dtype}: a gradient and its parameter are real or complex; leave it out"
        )
    return array
