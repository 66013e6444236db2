"""Both modules as flat lists of layers in the order of their definition; rules know layers by type, not by name."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from comparisons.port.kinds import FLAX, TORCH, kind_of


class Spot(NamedTuple):
    """One layer: where it is, what it is, and its own parameters' names and shapes. `kind` is None where unknown."""

    path: str
    kind: str | None
    module: Any
    shapes: dict[str, tuple[int, ...]]

    def leaf(self, name: str) -> str:
        return _join(self.path, name) if name else self.path

    def __str__(self) -> str:
        type_ = "parameter" if self.kind == "parameter" else type(self.module).__name__
        shapes = ", ".join(f"{name} {list(shape)}".strip() for name, shape in self.shapes.items())
        return f"{self.path} ({type_} {shapes})" if self.path else f"{type_} ({shapes})"


def pair_name(torch: Spot, flax: Spot) -> str:
    """Where two joined layers are: one path where both are at the same."""
    both = [spot.path or "the module" for spot in (torch, flax)]
    return both[0] if both[0] == both[1] else " -> ".join(both)


def alike(path: str) -> str:
    """Paths that differ only in how they write an index are one: `blocks_0.up` and `blocks.0.up`."""
    return re.sub(r"_(\d+)", r".\1", path)


def torch_spots(module: Any, path: str = "") -> Iterator[Spot]:
    kind = kind_of(module, "torch.nn", TORCH)
    own = module.named_parameters(recurse=kind is not None, remove_duplicate=False)
    shapes = {name: tuple(p.shape) for name, p in own}
    if kind is not None or (shapes and _uncovered(module)):
        yield Spot(path, kind, module, shapes)
        return
    for name, shape in shapes.items():
        yield Spot(_join(path, name), "parameter", module, {"": shape})
    for name, child in module.named_children():
        yield from torch_spots(child, _join(path, name))


def _uncovered(module: Any) -> bool:
    """A layer of torch.nn that no rule knows: its parameters are not bare ones, to be joined by their shapes."""
    base = next(base for base in type(module).__mro__ if base.__module__.startswith("torch.nn.modules"))
    plain = base.__module__.rpartition(".")[2] in ("module", "container")
    return not plain and not any(True for _ in module.children())


def nnx_spots(module: Any, path: str = "") -> Iterator[Spot]:
    from flax import nnx

    kind = kind_of(module, "flax.nnx", FLAX)
    if kind is not None:
        flat = nnx.to_flat_state(nnx.state(module, nnx.Param))
        yield Spot(path, kind, module, {".".join(map(str, p)): tuple(v.shape) for p, v in flat})
        return
    own = {name: tuple(p.shape) for name, p in _nnx_children(module) if isinstance(p, nnx.Param)}
    if own and type(module).__module__.startswith("flax.nnx.nn"):  # a layer that no rule knows
        yield Spot(path, None, module, own)
        return
    for name, child in _nnx_children(module):
        where = _join(path, name)
        if isinstance(child, nnx.Param):
            yield Spot(where, "parameter", child, {"": tuple(child.shape)})
        elif isinstance(child, (nnx.Module, list, tuple, dict)):
            yield from nnx_spots(child, where)


def _nnx_children(module: Any) -> Iterator[tuple[str, Any]]:
    from flax import nnx

    if isinstance(module, (nnx.List, list, tuple)):
        yield from ((str(k), child) for k, child in enumerate(module))
    elif isinstance(module, dict):
        yield from module.items()
    else:
        yield from ((name, child) for name, child in vars(module).items() if not name.startswith("_pytree"))


def linen_spots(module: Any, inputs: tuple) -> tuple[list[Spot], dict]:
    """The layers in the order in which the module calls them, and the shapes of its variables."""
    import flax.linen as nn
    import jax

    found: dict[str, Any] = {}

    def note(call, args, options, context):
        path = ".".join(context.module.path)
        inside = any(_within(path, outer) for outer, spot in found.items() if spot is not None)
        if context.method_name == "__call__" and not inside:
            kind = kind_of(context.module, "flax.linen", FLAX)
            found.setdefault(path, None if kind is None else (kind, context.module.clone()))
        return call(*args, **options)

    with nn.intercept_methods(note):
        variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    leaves = {name: tuple(leaf.shape) for name, leaf in flat_shapes(variables.get("params", {}))}
    spots = []
    for path, entry in found.items():
        if entry is not None:
            own = {name.removeprefix(f"{path}.").strip("."): s for name, s in leaves.items() if _within(name, path)}
            spots.append(Spot(path, entry[0], entry[1], own))
    held = {name for name in leaves for spot in spots if _within(name, spot.path)}
    spots += [Spot(name, "parameter", module, {"": shape}) for name, shape in leaves.items() if name not in held]
    return spots, variables


def flat_shapes(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in tree.items():
        where = _join(path, name)
        if hasattr(child, "items"):
            yield from flat_shapes(child, where)
        else:
            yield where, child


def _within(name: str, path: str) -> bool:
    return path == "" or name.startswith(f"{path}.")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
