"""From a torch.nn module and a Flax module to a layout: joined by layer types, weights copied, differences named."""

from typing import Any

import numpy as np

from comparisons.layout import Aliased, to_flax
from comparisons.port.between import between_layers
from comparisons.port.match import match
from comparisons.port.ported import Ported, PortError
from comparisons.port.settings import settings
from comparisons.port.walk import Spot, linen_spots, nnx_spots, torch_spots
from comparisons.port.weights import linen_state, nnx_state
from comparisons.testing.arrays import as_numpy
from comparisons.usage import BadInput

__all__ = ["PortError", "Ported", "port"]


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
    from flax import linen as flax_linen
    from flax import nnx

    if not isinstance(flax_module, (nnx.Module, flax_linen.Module)):
        raise BadInput(
            f"`flax_module` is a {type(flax_module).__name__}: pass an nnx.Module, or a linen.Module and inputs"
        )
    linen = isinstance(flax_module, flax_linen.Module)
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
    joined = match(here, there, ported)
    ported.params = {
        name: np.array(as_numpy(p), complex if p.is_complex() else float) for name, p in torch_module.named_parameters()
    }
    differing = (found for pair in joined for found in settings(*pair))
    for serious, text in (*differing, *between_layers(torch_module, flax_module)):
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
