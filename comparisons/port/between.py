"""What stands between the layers of two modules: activations, flattening, dropout."""

from typing import Any


def between_layers(torch_module: Any, flax_module: Any) -> list[tuple[bool, str]]:
    """What stands between the layers: activations, flattening, dropout."""
    import functools

    found: list[tuple[bool, str]] = []
    images = False
    forms = _gelu_forms(flax_module, functools.partial)
    for name, module in torch_module.named_modules():
        kind = type(module).__name__
        images = images or kind.startswith("Conv")
        if kind == "GELU":
            here = module.approximate
            if forms and {here} != forms:
                found.append((True, f"{name}: GELU is {here!r} in torch and {'/'.join(sorted(forms))!r} in Flax"))
            elif not forms:
                found.append(
                    (
                        False,
                        f"{name}: GELU is {here!r} in torch; jax.nn.gelu's default is 'tanh', not 'none'",
                    )
                )
        elif kind == "Flatten" and images:
            found.append(
                (
                    False,
                    f"{name}: flattens (channels, height, width); Flax's images are (height, width, channels), "
                    "so that the order of what follows cannot be known from types: transpose before it, or pool",
                )
            )
        elif kind.startswith("Dropout") and module.training and module.p:
            found.append(
                (False, f"{name}: dropout {module.p:g} is on in torch; no two random streams are alike: use eval()")
            )
    return found


def _gelu_forms(module: Any, partial: Any) -> set[str]:
    """The forms of jax.nn.gelu that the Flax module holds as attributes, bare or in a `partial`."""
    import jax

    forms, seen, todo = set(), set(), [module]
    while todo:
        one: Any = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        function, options = (one.func, one.keywords) if isinstance(one, partial) else (one, {})
        if function is jax.nn.gelu:
            forms.add("tanh" if options.get("approximate", True) else "none")
        elif isinstance(one, (list, tuple)):
            todo += one
        elif type(one).__module__.startswith("flax.nnx.helpers") or hasattr(one, "_pytree__nodes"):
            todo += list(one) if hasattr(one, "__len__") and hasattr(one, "__iter__") else list(vars(one).values())
        elif type(one).__mro__[-2].__module__.startswith("flax.linen") or hasattr(one, "__dataclass_fields__"):
            todo += [value for name, value in vars(one).items() if not name.startswith("_")]
    return forms
