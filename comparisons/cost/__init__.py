"""What do the strategies cost? Operations, time and peak, beside the theory and the peers.

Rows are of these kinds: `flops` (counted and predicted), `shared` (what is computed again), `time` (a strategy in a
regime: time, peak, error), `peer` (ours beside what others offer), `target` (what was hoped for, and measured),
`sweep` (time against K, depth and batch), `harness` (what the measurement adds).
"""

from collections.abc import Iterable, Iterator
from functools import partial

from comparisons.cost.leads import NEEDS
from comparisons.cost.regimes import KS, REGIMES, SWEEPS, SWEPT, TIMED, chosen, place
from comparisons.cost.tables import tables
from comparisons.rows import Unit
from comparisons.scenarios import REFERENCE, STRATEGIES

__all__ = ["PARTS", "tables", "units"]

PARTS = ("flops", "shared", "time", "peers", "sweep", "harness")
HALF = ("summed", REFERENCE)


def units(
    parts: Iterable[str] = (),
    problems: Iterable[str] = (),
    strategies: Iterable[str] = (),
    ks: Iterable[int] = (),
    full: bool = False,
    device: str = "cpu",
    peers: Iterable[str] = (),
) -> list[Unit]:
    """The named parts, or all; `problems` are problems and regimes. A unit is measured, and written, as one."""
    wanted, problems, strategies = set(parts) or set(PARTS), set(problems), set(strategies)
    found: list[Unit] = []
    if "flops" in wanted:
        from comparisons.cost import counted  # the tables are read without the frameworks

        found += counted.units(problems, strategies, full)
    if "shared" in wanted and not problems and not strategies:
        from comparisons.cost import shared

        found.append(Unit("cost", "shared", "shared", shared.rows, 3))
    regimes = chosen(problems)
    if "time" in wanted:
        found += _times(regimes, strategies, list(ks), full, device)
    if "peers" in wanted and not strategies:
        found += _peers(regimes, list(ks), list(peers), full, device)
    if "sweep" in wanted:
        found += _sweeps(regimes, strategies, full, device)
    if "harness" in wanted and not problems and not strategies:
        from comparisons.cost import harness

        found.append(Unit("cost", "harness", "harness", partial(harness.rows, device), 5))
    return found


def _times(regimes: list[str], strategies: set[str], ks: list[int], full: bool, device: str) -> Iterator[Unit]:
    """One unit for each regime and K: all strategies, both frameworks, in one interleaved run."""
    from comparisons.cost import times

    for regime in regimes:
        brief = TIMED if REGIMES[regime].any_k else SWEPT  # two problems that take long to compile
        timed = list(strategies) or (list(STRATEGIES) if full else brief)
        half = timed if full else HALF if REGIMES[regime].any_k else ()
        for k in (ks or (KS if full else (8,))) if REGIMES[regime].any_k else (8,):
            at = place(regime, k)
            name = f"time  {regime}  K={at.losses}"
            seconds = (1.2 + 0.12 * at.losses if REGIMES[regime].any_k else 2.6) * len(timed)
            work = partial(times.rows, at, timed, device=device, half=half, seconds=6 if full else 1.5)
            yield Unit("cost", "time", name, work, seconds)
            if device == "cuda":
                work = partial(times.rows, at, timed, device=device, tf32=True)
                yield Unit("cost", "time", f"{name}  defaults", work, seconds)
            if full and (ks or k == 8):
                work = partial(times.through_inductor, at, device)
                yield Unit("cost", "time", f"{name}  torch.compile", work, 60)
    asked = (not ks or 2 in ks) and (not strategies or REFERENCE in strategies)
    if asked and "overhead" in regimes and device == "cpu":
        work = partial(times.without_jit, place("overhead", 2), REFERENCE)
        yield Unit("cost", "time", "time  overhead  K=2  JAX without jit", work, 3)


def _peers(regimes: list[str], ks: list[int], named: list[str], full: bool, device: str) -> Iterator[Unit]:
    """One unit for each regime of any K, and K: ours and the peers in one interleaved run."""
    from comparisons.cost import against

    for regime in [name for name in regimes if REGIMES[name].any_k]:
        for k in ks or ((2, 8, 32) if full else (8,)):
            work = partial(against.rows, place(regime, k), named or tuple(NEEDS), device, 6 if full else 3)
            yield Unit("cost", "peers", f"peers  {regime}  K={k}", work, 3 + 0.4 * k)


def _sweeps(regimes: list[str], strategies: set[str], full: bool, device: str) -> Iterator[Unit]:
    """One unit for each regime, axis and framework."""
    from comparisons.cost import sweeps

    swept = list(strategies) or SWEPT
    for regime in [name for name in regimes if REGIMES[name].any_k and (full or name == "overhead")]:
        for axis, points in SWEEPS.items() if full else {"losses": KS[:4]}.items():
            for framework in ("torch", "jax"):
                work = partial(sweeps.rows, framework, regime, axis, points, swept, device)
                each = 0.3 if framework == "torch" else 0.6  # JAX compiles
                seconds = each * len(points) * len(swept)
                yield Unit("cost", "sweep", f"sweep  {regime}  {axis}  {framework}", work, seconds)
