"""Time in terms of the summed gradient's: every strategy of a regime, both frameworks, in one interleaved run."""

from collections.abc import Iterable
from statistics import median

from comparisons.cost import accuracy, calls, profile, theory
from comparisons.cost.calls import MODES, Call
from comparisons.cost.regimes import Place
from comparisons.cost.timing import interleaved, ratio
from comparisons.pitfalls.compiled import compiler
from comparisons.rows import Row, failed

Key = tuple[str, str]  # mode, strategy
Samples = dict[Key, list[float]]


def rows(
    at: Place,
    strategies: Iterable[str],
    modes: tuple[str, ...] = ("eager", "jit"),
    device: str = "cpu",
    seconds: float = 1.5,
    rounds: int = 7,
    half: Iterable[str] = (),
    tf32: bool = False,
) -> list[Row]:
    """A row a mode and strategy, each timed against its own mode's `summed`.

    The strategies in `half` are judged in bfloat16 too.
    """
    wanted = [(mode, name) for mode in modes for name in dict.fromkeys(("summed", *strategies))]
    found = {key: _row(at, *key, device, tf32) for key in wanted}
    with calls.scope(device, tf32) as cores:
        made: dict[Key, Call] = {}
        for mode, strategy in wanted:
            row = found[mode, strategy]
            try:
                made[mode, strategy] = call = MODES[mode][1](at, strategy, device)
                row |= {"compile_seconds": call.compile_seconds, "peak": call.peak, "peak_kind": call.peak_kind}
                row |= {"eps": accuracy.eps(row["framework"], at, strategy, call.run()), "cores": cores}
                if strategy in half and not tf32:
                    other = MODES[mode][1](at, strategy, device, "bfloat16").run()
                    row |= {"eps_bfloat16": accuracy.eps(row["framework"], at, strategy, other, "bfloat16")}
            except Exception as error:  # whatever a framework raises is this strategy's result
                made.pop((mode, strategy), None)
                found[mode, strategy] = failed(row, error)
        samples = interleaved({key: call.run for key, call in made.items()}, seconds, rounds) if made else {}
        for (mode, strategy), call in made.items():
            row = found[mode, strategy]
            found[mode, strategy] = row | _timed((mode, strategy), samples, row)
            if device == "cpu" and not tf32:
                found[mode, strategy] |= _profiled(mode, call)
    return list(found.values())


def without_jit(at: Place, strategy: str) -> list[Row]:
    """One JAX row, operation by operation, against the compiled summed gradient."""
    row = _row(at, "op-by-op", strategy, "cpu", False)
    try:
        with calls.scope() as cores:
            made = {"base": calls.jit(at, "summed").run, "row": calls.op_by_op(at, strategy).run}
            found = ratio(interleaved(made, seconds=0, rounds=3), "row", "base")
    except Exception as error:
        return [failed(row, error)]
    return [row | {"time_ratio": found.median, "spread": [found.low, found.high], "base": "jit", "cores": cores}]


def through_inductor(at: Place, device: str) -> list[Row]:
    """`torch.compile` rows, or the reason why there are none."""
    if compiler() is None:
        reason = "torch.compile needs a C++ compiler: none found"
        row = _row(at, "compile", "summed", device, False)
        return [row | {"status": "not_measured", "reason": reason}]
    return rows(at, calls.THROUGH_FUNC, ("compile",), device)


def _row(at: Place, mode: str, strategy: str, device: str, tf32: bool) -> Row:
    framework, parts = MODES[mode][0], at.parts
    label = "-".join([at.regime, *(f"{key}{value}" for key, value in at.changes), *(["defaults"] if tf32 else [])])
    flops, summed = (
        None if mode == "compile" else theory.predicted(framework, name, parts)[0] for name in (strategy, "summed")
    )
    return {
        "id": f"cost/time/{label}/{strategy}/{device}/{mode}",
        "kind": "time",
        "regime": at.regime,
        "problem": at.name,
        **at.sizes,
        "losses": at.losses,
        "strategy": strategy,
        "framework": framework,
        "mode": mode,
        "device": device,
        "precision": "defaults" if tf32 else "float32",
        "flops": flops,
        "flop_ratio": flops / summed if flops and summed else None,
        "status": "ok",
    }


def _profiled(mode: str, call: Call) -> Row:
    """The share of products in the time; nothing for a mode that has no profile here."""
    if mode not in ("eager", "jit"):
        return {}
    try:
        share = profile.in_jax(call.run, call.text) if mode == "jit" else profile.in_torch(call.run)
    except Exception as error:  # a cause that is not found leaves the measurement as it is
        return {"in_products": None, "beside": f"not profiled: {type(error).__name__}"}
    return {"in_products": share.products, "beside": f"{share.other} {share.other_share:.0%}"}


def _timed(key: Key, samples: Samples, row: Row) -> Row:
    """What the samples say of one call: against its own summed gradient, and JAX against PyTorch's fastest."""
    mode, strategy = key
    found: Row = {"seconds": median(samples[mode, strategy]), "rounds": len(samples[mode, strategy])}
    if (mode, "summed") in samples:
        spread = ratio(samples, key, (mode, "summed"))
        found |= {"time_ratio": spread.median, "spread": [spread.low, spread.high], "base": mode}
        if row["flop_ratio"]:
            found["efficiency"] = row["flop_ratio"] / spread.median
    rivals = {s: median(taken) for (m, s), taken in samples.items() if m == "eager" and s.startswith("per_loss")}
    if mode == "jit" and strategy.startswith("per_loss") and rivals:
        best = min(rivals, key=rivals.__getitem__)
        found |= {"rival": best, "against_torch": ratio(samples, key, ("eager", best)).median}
    return found
