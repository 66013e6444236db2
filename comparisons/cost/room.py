"""Whether there is memory enough for what is asked, by the closed forms and before anything runs."""

import os
from bisect import bisect_right

from comparisons.cost.regimes import REGIMES, Place, place
from comparisons.memory import predictions
from comparisons.memory.predictions import Sizes
from comparisons.usage import BadUsage


def check(ks, regimes, device: str = "cpu") -> None:
    """BadUsage where K is no number of losses, or one of the regimes with K losses would not fit."""
    for k in ks:
        if k < 1:
            raise BadUsage(f"--k {k}: give at least 1, the number of losses")
        for regime in [name for name in regimes if REGIMES[name].any_k]:
            most, free = needed(place(regime, k)), available(device)
            if most > free:
                fits = bisect_right(range(1, k), free, key=lambda fewer: needed(place(regime, fewer)))
                told = f"{regime!r} would need about {most / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
                raise BadUsage(f"--k {k}: {told}; --k {fits} fits")


def needed(at: Place, itemsize: int = 4) -> int:
    """An upper bound of one strategy's peak: arguments, what is held, and twice the K gradients and K cotangents.

    Batched strategies stack the K gradients before they take them apart.
    """
    sizes = Sizes(**({"hidden": 0} | at.sizes))
    width, hidden = sizes.width, sizes.hidden
    head = width * hidden + hidden + hidden + 1 if hidden else width + 1
    params = sizes.depth * (width**2 + width) + sizes.losses * head
    batch = sizes.batch * (width + sizes.losses)
    cotangents = sizes.losses * sizes.batch * (width + sizes.losses * hidden)
    held = max(predictions.held(side, sizes, itemsize) for side in ("torch", "jax"))
    return held + itemsize * (params + batch + 2 * sizes.losses * params + 2 * cotangents)


def available(device: str) -> int:
    """Bytes that may be taken now."""
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
