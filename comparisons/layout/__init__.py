"""Parameter maps from torch.nn to Flax, layer by layer, and their adjoints.

A layer's map is linear, `L`. Weights go over by `to_flax` (L), gradients come back by `adjoint` (L'): the chain rule
through L. The two are inverses only where L is a permutation. An LSTM adds two biases into one, so its adjoint gives
that one's gradient to both; tied weights are copied, so their gradients add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from comparisons.layout.attention import attention, attention_joined
from comparisons.layout.convolution import conv, conv_transpose
from comparisons.layout.layer import Arrays, Layer
from comparisons.layout.plain import embedding, general, linear, norm, parameter, tied
from comparisons.layout.recurrent import gru, gru_gates, lstm, lstm_gates
from comparisons.usage import BadInput

__all__ = [
    "Aliased",
    "Arrays",
    "Layer",
    "Layout",
    "attention",
    "attention_joined",
    "checked",
    "compared",
    "conv",
    "conv_transpose",
    "embedding",
    "from_flax",
    "general",
    "gru",
    "gru_gates",
    "linear",
    "lstm",
    "lstm_gates",
    "norm",
    "parameter",
    "rule_of",
    "tied",
    "to_flax",
]

Layout = Mapping[str, Layer]


@dataclass(frozen=True)
class Aliased(Mapping):
    """A layout in which some PyTorch names share one parameter: `aliases` maps each to the name it stands for.

    PyTorch holds a tied weight once. Flax holds a copy for each use, so that the weight's gradient is their sum; where
    Flax ties them too, `shared` has the shape of each copy that Flax does not hold.
    """

    layers: dict[str, Layer]
    aliases: dict[str, str] = field(default_factory=dict)
    shared: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Layer:
        return self.layers[name]

    def __iter__(self):
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def checked(layout: Any) -> Layout:
    """`layout`, or BadInput where it is none."""
    if isinstance(layout, Mapping) and all(isinstance(row, Layer) for row in layout.values()):
        return layout
    raise BadInput("`layout` must map layer names to rows of gradparity.layout, such as {'fc': linear(3, 4)}")


def to_flax(params: Arrays, layout: Layout) -> Arrays:
    """PyTorch's parameters under Flax's names and in Flax's layouts."""
    if not isinstance(layout, Aliased):
        return _by_layer(params, layout, "to_flax")
    used = {name: source for name, source in layout.aliases.items() if any(_below(name, own) for own in layout)}
    mapped = _by_layer(params | {name: params[source] for name, source in used.items()}, layout, "to_flax")
    return {name: array for name, array in mapped.items() if name not in layout.shared}


def from_flax(grads: Arrays, layout: Layout) -> Arrays:
    """The gradient with respect to PyTorch's parameters, from the gradient with respect to Flax's."""
    if not isinstance(layout, Aliased):
        return _by_layer(grads, layout, "adjoint")
    found = _by_layer(grads | {name: np.zeros(shape) for name, shape in layout.shared.items()}, layout, "adjoint")
    for name, source in layout.aliases.items():
        if name in found:
            found[source] = found[source] + found.pop(name)
    return found


def compared(grads: Arrays, layout: Layout) -> Arrays:
    """PyTorch's gradient without what Flax has no parameter for: those entries are zero, as `from_flax` gives them."""
    kept = dict(grads)
    for name, layer in layout.items():
        for leaf, absent in layer.absent.items():
            key = f"{name}.{leaf}".removeprefix(".")
            if kept.get(key) is not None:
                kept[key] = np.array(kept[key])
                kept[key][absent] = 0
    return kept


def rule_of(name: str, layout: Layout) -> str:
    """Which layer's rule maps this PyTorch parameter, in words."""
    for layer_name, layer in layout.items():
        if name == layer_name or name.startswith(f"{layer_name}."):
            there = layer_name if layer.flax is None else layer.flax
            return f"{layer_name!r} -> {there!r} by `{layer.rule}`: {layer.says}"
    return f"no layer of the layout holds {name!r}: it is taken as it is"


def _by_layer(arrays: Arrays, layout: Layout, direction: str) -> Arrays:
    mapped: Arrays = {}
    unclaimed = set(arrays)
    for name, layer in layout.items():
        there = name if layer.flax is None else layer.flax
        here, out = (name, there) if direction == "to_flax" else (there, name)
        own = {leaf: key for key in arrays if (leaf := _below(key, here)) is not None}
        unclaimed -= set(own.values())
        if direction == "to_flax":
            _sized(name, layer, {leaf: np.shape(arrays[key]) for leaf, key in own.items()})
        try:
            found = getattr(layer, direction)({leaf: arrays[key] for leaf, key in own.items()})
        except KeyError as error:
            held = sorted(own) or f"nothing of its own among {', '.join(sorted(arrays)[:8])}"
            without = " (a layer without one: `bias=False`)" if str(error.args[0]).endswith("bias") else ""
            raise BadInput(f"layer {here!r} of the layout needs {error.args[0]!r}{without}; it has {held}") from None
        mapped |= {f"{out}.{leaf}".strip("."): array for leaf, array in found.items()}
    if unclaimed:
        raise BadInput(f"`layout` has no layer for {sorted(unclaimed)}: add a row for it, such as `linear(...)`")
    return mapped


def _sized(name: str, layer: Layer, given: Mapping[str, tuple[int, ...]]) -> None:
    for leaf, shape in layer.shapes.items():
        if given.get(leaf, shape) != shape:
            raise BadInput(
                f"layer {name!r} of the layout says {leaf or 'parameter'} {list(shape)}, by `{layer.rule}`; it is "
                f"{list(given[leaf])}: give the row the layer's own sizes"
            )


def _below(key: str, name: str) -> str | None:
    """The rest of `key` below the layer `name`; everything is below the root, ''."""
    if name in ("", key):
        return key if name == "" else ""
    return key.removeprefix(f"{name}.") if key.startswith(f"{name}.") else None
