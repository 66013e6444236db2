"""What stands between the layers of two modules: activations, flattening, dropout."""

import functools
from typing import Any

from comparisons.port.settings.found import Found


def between_layers(torch_module: Any, flax_module: Any) -> Found:
    """What differs, or cannot be known from types, where no parameter is."""
    forms, images = _gelu_forms(flax_module), False
    for name, module in torch_module.named_modules():
        kind = type(module).__name__
        images = images or kind.startswith("Conv")
        if kind == "GELU":
            here, there = module.approximate, "/".join(sorted(forms))
            if not forms:
                yield False, f"{name}: GELU is {here!r} in torch; jax.nn.gelu's default is 'tanh', not 'none'"
            elif there != here:
                yield True, f"{name}: GELU is {here!r} in torch and {there!r} in Flax"
        elif kind == "Flatten" and images:
            yield (
                False,
                f"{name}: flattens (channels, height, width); Flax's images are (height, width, channels), so that the "
                "order of what follows cannot be known from types: transpose before it, or pool",
            )
        elif kind.startswith("Dropout") and module.training and module.p:
            yield False, f"{name}: dropout {module.p:g} is on in torch; no two random streams are alike: use eval()"
    for name, rate in _dropouts(flax_module):
        yield False, f"{name}: dropout {rate:g} is on in Flax; no two random streams are alike: use eval()"


def _dropouts(module: Any) -> list[tuple[str, float]]:
    """Where an nnx module drops out by its own setting; in linen, the call says."""
    from flax import nnx

    own = nnx.iter_modules(module) if isinstance(module, nnx.Module) else ()
    return [
        (".".join(map(str, path)) or "the module", one.rate)
        for path, one in own
        if isinstance(one, nnx.Dropout) and one.rate and not one.deterministic
    ]


def _gelu_forms(module: Any) -> set[str]:
    """The forms of jax.nn.gelu that the Flax module holds as attributes, bare or in a `partial`."""
    import jax

    forms, seen, todo = set(), set(), [module]
    while todo:
        one: Any = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        function, options = (one.func, one.keywords) if isinstance(one, functools.partial) else (one, {})
        if function is jax.nn.gelu:
            forms.add("tanh" if options.get("approximate", True) else "none")
        elif isinstance(one, (list, tuple)):
            todo += one
        elif type(one).__module__.startswith("flax.nnx.helpers") or hasattr(one, "_pytree__nodes"):
            todo += list(one) if hasattr(one, "__len__") and hasattr(one, "__iter__") else list(vars(one).values())
        elif type(one).__mro__[-2].__module__.startswith("flax.linen") or hasattr(one, "__dataclass_fields__"):
            todo += [value for name, value in vars(one).items() if not name.startswith("_")]
    return forms
