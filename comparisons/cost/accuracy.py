"""How far a low-precision gradient is from the float64 reference, in eps at leaf scale."""

from functools import lru_cache
from typing import Any

import torch

from comparisons.cost.calls import _exact
from comparisons.cost.regimes import Place
from comparisons.difference import Gradients, difference
from comparisons.frameworks import _by_parameter, in_torch


def eps(framework: str, place: Place, strategy: str, found: Any, dtype: str = "float32") -> float:
    """The worst of all losses and parameters; the reference is the strategy's in float64, at the same point."""
    stated = place.stated if framework == "jax" else None
    actual = _by_parameter(found, strategy, stated)
    expected, names = reference(place, strategy, dtype), (framework, "the float64 reference")
    pairs = difference(actual, expected, tolerance=float("inf"), names=names).pairs  # measured, not judged
    return max(pair.relative_error for pair in pairs) / torch.finfo(getattr(torch, dtype)).eps


@lru_cache(maxsize=32)
def reference(place: Place, strategy: str, dtype: str) -> Gradients:
    """PyTorch's, on the CPU; JAX's is the same to 1e-12."""
    return in_torch(place.name, _exact(place.stated, dtype), strategy)
