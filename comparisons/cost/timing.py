"""Interleaved timing: A B A B in one process, so that whatever slows the machine slows both."""

import gc
from collections.abc import Callable, Hashable, Mapping
from statistics import median, quantiles
from time import perf_counter
from typing import NamedTuple, TypeVar

Name = TypeVar("Name", bound=Hashable)
Samples = dict[Name, list[float]]
SHORTEST = 2e-3  # seconds: a sample repeats its call until the clock's and the scheduler's grain no longer show


class Ratio(NamedTuple):
    """The median over rounds, and the quartiles as its spread."""

    median: float
    low: float
    high: float


def interleaved(calls: Mapping[Name, Callable[[], object]], seconds: float = 1.0, rounds: int = 5) -> Samples[Name]:
    """Seconds of one call, for each of `calls`, round by round: at least `rounds`, then until `seconds` have passed.

    A call waits for its own result (`ready`). Each is called once before the first round; the order turns by one every
    round. The garbage collector runs before a round and not in it, over what the rounds have made: what was there
    before, the frameworks above all, is set aside. It leaves cold caches, so the round's first call is made once more,
    untimed.
    """
    gc.collect()
    gc.freeze()
    samples: Samples[Name] = {name: [] for name in calls}
    names, collecting = list(calls), gc.isenabled()
    try:
        repeats = {name: _repeats(call) for name, call in calls.items()}
        end = perf_counter() + seconds
        while len(samples[names[0]]) < rounds or perf_counter() < end:
            gc.collect()
            gc.disable()
            calls[names[0]]()
            for name in names:
                samples[name].append(_time(calls[name], repeats[name]))
            names = names[1:] + names[:1]
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
    return samples


def ratio(samples: Samples[Name], name: Name, base: Name) -> Ratio:
    """How long `name` takes in terms of `base`, each round against itself."""
    found = [a / b for a, b in zip(samples[name], samples[base], strict=True)]
    low, _, high = quantiles(found, n=4, method="inclusive")
    return Ratio(median(found), low, high)


def _repeats(call: Callable[[], object]) -> int:
    _time(call, 1)
    return max(1, round(SHORTEST / max(_time(call, 1), 1e-9)))


def _time(call: Callable[[], object], repeats: int) -> float:
    start = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - start) / repeats
