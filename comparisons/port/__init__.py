"""From a torch.nn module and a Flax module to a layout: joined by layer types, weights copied, differences named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from comparisons.layout import Aliased, Arrays, Layer, attention, attention_joined, general, to_flax
from comparisons.port.rules import Refused, join
from comparisons.port.settings import between_layers, settings
from comparisons.port.walk import Spot, alike, linen_spots, nnx_spots, torch_spots
from comparisons.port.weights import linen_state, nnx_state
from comparisons.usage import BadInput

__all__ = ["PortError", "Ported", "port"]


class PortError(BadInput):
    """Something could not be matched, or a setting that changes the function differs; `ported` holds what was found."""

    def __init__(self, ported: "Ported"):
        super().__init__("\n".join(["the two modules are not the same network:", *map("  {}".format, ported.wrong)]))
        self.ported = ported


@dataclass
class Ported:
    """What joins a PyTorch module and a Flax module.

    `layout` maps PyTorch's parameters to Flax's. `unmatched` names layers on either side that nothing maps, `refused`
    pairs that cannot be mapped, `differing` settings that change the function, `notes` what types cannot tell.
    `variables` is the filled linen tree; an nnx module is filled in place.
    """

    module: Any
    layout: Aliased
    params: Arrays
    build: Callable[[Mapping], Any]
    variables: dict | None = None
    unmatched: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        return [*self.unmatched, *self.refused, *self.differing]

    def __str__(self) -> str:
        lines = [f"{len(self.layout)} layers joined, {len(self.params)} parameters"]
        lines += [f"  {text}" for text in self.wrong] + [f"  note: {text}" for text in self.notes]
        return "\n".join(lines)


def port(torch_module: Any, flax_module: Any, *inputs: Any, strict: bool = True) -> Ported:
    """Join the two modules layer by layer, by type, and copy PyTorch's weights and statistics over.

    Layers at the same path are joined first, then the rest in order of definition where type and shapes allow. A linen
    module needs example `inputs`, from which its variables are made. Everything that is not the same network raises,
    in one message: layers that match nothing, pairs that cannot be mapped, settings that differ. `strict=False` returns
    it instead, in the result's lists.
    """
    if not hasattr(torch_module, "named_parameters"):
        raise BadInput(
            f"`torch_module` is a {type(torch_module).__name__}: pass the torch.nn.Module first, Flax's second"
        )
    linen = type(flax_module).__mro__[-2].__module__.startswith("flax.linen")
    if linen and not inputs:
        raise BadInput(
            "a linen module has no parameters of its own: pass example inputs, port(torch_module, module, x)"
        )
    here = list(torch_spots(torch_module))
    there, variables = linen_spots(flax_module, inputs) if linen else (list(nnx_spots(flax_module)), None)
    if not there:
        raise BadInput(f"`flax_module` is a {type(flax_module).__name__} in which no layer was found")
    ported = Ported(torch_module, Aliased({}), {}, lambda params: None)
    _alias(torch_module, ported)
    joined = _match(here, there, ported)
    ported.params = {
        name: np.array(p.detach().cpu().numpy(), complex if p.is_complex() else float)
        for name, p in torch_module.named_parameters()
    }
    for serious, text in [found for pair in joined for found in settings(*pair)] + between_layers(
        torch_module, flax_module
    ):
        (ported.differing if serious else ported.notes).append(text)
    stats = _statistics(joined)
    mapped = {} if ported.unmatched or ported.refused else to_flax(ported.params, ported.layout)
    if variables is not None:
        ported.build, ported.variables = linen_state(variables, mapped, stats)
    else:
        ported.build, held = nnx_state(flax_module, mapped, stats)
        for name in mapped.keys() - held:
            ported.layout.shared[name] = mapped[name].shape
        if ported.layout.shared and not ported.layout.aliases:
            ported.refused.append(
                f"Flax ties {sorted(ported.layout.shared)} to another parameter; torch keeps them apart"
            )
    if strict and ported.wrong:
        raise PortError(ported)
    return ported


def _match(here: list[Spot], there: list[Spot], ported: Ported) -> list[tuple[Spot, Spot]]:
    """Fill the layout; the pairs whose settings can be compared."""
    layers, left = ported.layout.layers, list(there)
    joined: list[tuple[Spot, Spot]] = []
    rest = []
    for spot in here:
        same = next((f for f in left if alike(f.path) == alike(spot.path)), None)
        if same is None or not _join(spot, same, ported, layers, joined):
            rest.append(spot)
        else:
            left.remove(same)
    rest, left = _grouped(rest, left, layers)
    for spot in rest:
        for other in left:
            if _join(spot, other, ported, layers, joined):
                if spot.path and other.path:
                    ported.notes.append(f"{spot.path} was joined with {other.path} by its type, shapes and place")
                left.remove(other)
                break
        else:
            if any(_leaf(spot, name) not in ported.layout.aliases for name in spot.shapes):
                ported.unmatched.append(f"torch's {spot} matches nothing in Flax")
    ported.unmatched += [f"Flax's {spot} matches nothing in torch" for spot in left if spot.shapes]
    return joined


def _join(spot: Spot, other: Spot, ported: Ported, layers: dict[str, Layer], joined: list) -> bool:
    try:
        layer = join(spot, other)
    except Refused as reason:
        ported.refused.append(f"{spot.path or 'the module'} -> {other.path or 'the module'}: {reason}")
        return True
    if layer is None:
        return False
    layers[spot.path] = layer
    joined.append((spot, other))
    return True


def _leaf(spot: Spot, name: str) -> str:
    return ".".join(filter(None, (spot.path, name)))


def _grouped(rest: list[Spot], left: list[Spot], layers: dict[str, Layer]) -> tuple[list[Spot], list[Spot]]:
    """Attention as one layer on one side, and as its projections (fused, or three and an output) on the other."""
    for whole, parts, in_torch in [(f, rest, False) for f in left] + [(t, left, True) for t in rest]:
        if whole.kind != "attention":
            continue
        own = [p for p in parts if p.kind == "linear" and alike(p.path).startswith(f"{alike(whole.path)}.".lstrip("."))]
        layer: dict[str, Layer] = _torch_attention(whole, own) if in_torch else _flax_attention(whole, own)
        if layer:
            layers |= layer
            rest = [spot for spot in rest if spot is not whole and spot not in own]
            left = [spot for spot in left if spot is not whole and spot not in own]
    return rest, left


def _flax_attention(whole: Spot, own: list[Spot]) -> dict[str, Layer]:
    inputs, heads, each = whole.shapes["query.kernel"]
    width, bias = heads * each, "query.bias" in whole.shapes
    sizes = [spot.shapes["weight"] for spot in own]
    if sizes == [(3 * width, inputs), (inputs, width)] and inputs == width:
        below = [spot.path.removeprefix(whole.path).strip(".") for spot in own]
        leaves = tuple(f"{name}.{leaf}" for name in below for leaf in ("weight", "bias"))
        return {whole.path: attention(width, heads, bias, leaves)._replace(flax=whole.path)}  # type: ignore[arg-type]
    if len(own) == 4 and sizes[3][1] == width and all(size[0] == width for size in sizes[:3]):
        names, split = ("query", "key", "value"), {}
        for name, spot in zip(names, own, strict=False):
            split[spot.path] = general((spot.shapes["weight"][1],), (heads, each), bias)._replace(
                flax=_leaf(whole, name)
            )
        out = general((heads, each), (sizes[3][0],), bias)
        return split | {own[3].path: out._replace(flax=_leaf(whole, "out"))}
    return {}


def _torch_attention(whole: Spot, own: list[Spot]) -> dict[str, Layer]:
    width, bias = whole.module.embed_dim, "in_proj_bias" in whole.shapes
    if [spot.shapes["kernel"] for spot in own] == [(width, 3 * width), (width, width)]:
        qkv, out = (spot.path.removeprefix(whole.path).strip(".") for spot in own)
        return {whole.path: attention_joined(width, qkv, out, bias)._replace(flax=whole.path)}
    return {}


def _alias(torch_module: Any, ported: Ported) -> None:
    """Names under which PyTorch holds one parameter: the first is the parameter, the others stand for it."""
    first: dict[int, str] = {}
    for name, parameter in torch_module.named_parameters(remove_duplicate=False):
        if id(parameter) in first:
            ported.layout.aliases[name] = first[id(parameter)]
        first.setdefault(id(parameter), name)
    for name, source in ported.layout.aliases.items():
        ported.notes.append(f"{name} is tied to {source}: Flax's gradients of the copies are added up")


def _statistics(joined: list[tuple[Spot, Spot]]) -> dict[str, np.ndarray]:
    """BatchNorm's running mean and variance, by their names in Flax."""
    found = {}
    for here, there in joined:
        if here.kind == "batch norm" and here.module.running_mean is not None:
            for name, leaf in (("mean", here.module.running_mean), ("var", here.module.running_var)):
                found[f"{there.path}.{name}".strip(".")] = leaf.detach().cpu().numpy()
    return found
