"""Arrays into Flax's own containers: an nnx module in place, a linen tree of variables."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any


def nnx_state(module: Any, params: Mapping, stats: Mapping) -> tuple[Callable[[Mapping], Any], set[str]]:
    """Fill `module`; the function that builds one with other parameters, inside a trace; the names that it holds."""
    import jax.numpy as jnp
    from flax import nnx

    draws = itertools.count()

    def filled(leaves: Mapping, keep_dtype: bool) -> list:
        flat = []
        for path, leaf in nnx.to_flat_state(nnx.state(module)):
            name = ".".join(map(str, path))
            if name in leaves:
                leaf = leaf.replace(jnp.asarray(leaves[name], leaf.dtype if keep_dtype else None))
            elif isinstance(leaf, nnx.RngCount):  # made anew, as it is changed; each module that is built draws its own
                leaf = leaf.replace(leaf[...] + next(draws))
            flat.append((path, leaf))
        return flat

    if params:
        nnx.update(module, nnx.from_flat_state(filled({**params, **stats}, keep_dtype=True)))

    def build(given: Mapping) -> Any:
        graph, _ = nnx.split(module)
        own = {name: jnp.asarray(array, _real(given)) for name, array in stats.items()}
        built = nnx.merge(graph, nnx.from_flat_state(filled({**given, **own}, keep_dtype=False)))
        for _, layer in nnx.iter_modules(built):
            if isinstance(layer, nnx.Embed):
                layer.dtype = None  # it keeps the dtype that it was made in, and would round float64 rows to float32
            elif hasattr(layer, "initialize_carry"):
                layer.param_dtype = _real(given)  # so that the state begins in the precision of the run
        return built

    return build, {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(module))}


def linen_state(variables: Mapping, params: Mapping, stats: Mapping) -> tuple[Callable[[Mapping], dict], dict]:
    """The variables with these values, and the function that builds them with other parameters."""
    import jax.numpy as jnp

    def tree(shapes: Mapping, leaves: Mapping, path: str = "") -> dict:
        made: dict[str, Any] = {}
        for name, child in shapes.items():
            where = f"{path}.{name}" if path else name
            if hasattr(child, "items"):
                made[name] = tree(child, leaves, where)
            else:
                made[name] = leaves[where] if where in leaves else jnp.zeros(child.shape, child.dtype)
        return made

    def build(given: Mapping) -> dict:
        own = {name: jnp.asarray(array, _real(given)) for name, array in stats.items()}
        collections = {"params": given, "batch_stats": own}
        return {name: tree(shapes, collections.get(name, {})) for name, shapes in variables.items()}

    single = {name: jnp.asarray(array, jnp.float32) for name, array in params.items()}
    return build, build(single) if params else {}


def _real(given: Mapping) -> Any:
    return next((array.dtype for array in given.values() if array.dtype.kind == "f"), None)
