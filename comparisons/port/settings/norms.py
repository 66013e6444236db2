"""Normalizations: epsilon, fast variance, groups, the statistics' decay and mode."""

from math import isclose
from typing import Any

from comparisons.port.settings.found import Found


def _number(name: str, torch: float, flax: float, remedy: str) -> Found:
    if not isclose(torch, flax, rel_tol=1e-9, abs_tol=0):
        yield True, f"{name} is {torch:g} in torch and {flax:g} in Flax: {remedy}"


def norm(torch: Any, flax: Any) -> Found:
    eps = torch.eps
    if eps is None:
        yield (
            True,
            f"eps is None in torch, the precision's own eps, and {flax.epsilon:g} in Flax: name it on both sides",
        )
    else:
        yield from _number("epsilon", eps, flax.epsilon, f"pass epsilon={eps:g} to Flax")
    if getattr(flax, "use_fast_variance", False) and not type(torch).__name__.startswith("RMS"):
        yield (
            False,
            "Flax's fast variance E[x^2] - E[x]^2 loses digits where |mean| >> deviation: use_fast_variance=False",
        )


def group_norm(torch: Any, flax: Any) -> Found:
    yield from norm(torch, flax)
    if flax.num_groups != torch.num_groups:
        yield True, f"num_groups is {torch.num_groups} in torch and {flax.num_groups} in Flax"


def batch_norm(torch: Any, flax: Any) -> Found:
    yield from norm(torch, flax)
    if torch.momentum is None:
        yield True, "momentum is None in torch, a cumulative mean: Flax has only the exponential one"
    else:
        yield from _number(
            "the statistics' decay (1 - momentum)",
            1 - torch.momentum,
            flax.momentum,
            f"Flax's momentum is what is kept: pass momentum={1 - torch.momentum:g}",
        )
    yield False, "a training step puts the unbiased batch variance into torch's running_var, the biased one into Flax's"
    running = flax.use_running_average
    if running is not None and running == torch.training:
        mode = ("training", "evaluation") if torch.training else ("evaluation", "training")
        yield True, f"torch is in {mode[0]} mode and Flax in {mode[1]} mode: use_running_average is {running}"
