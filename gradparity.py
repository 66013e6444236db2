"""The public face of gradparity: what other projects import. No framework is loaded until a name is used."""

from importlib import import_module

_HOME = {
    "GradientMismatch": "comparisons.testing",
    "assert_gradients_match": "comparisons.testing",
    "assert_losses_match": "comparisons.testing",
    "held": "torch_impl.memory",
    "port": "comparisons.port",
    "residuals": "jax_impl.memory",
}
_MODULES = {"layout": "comparisons.layout"}
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOME:
        raise AttributeError(f"module 'gradparity' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
