"""Who leads: our strategies and the peers in a regime, and the targets set for ours. No framework is needed here."""

from collections.abc import Iterator, Mapping

from comparisons.cost.timing import Samples, ratio
from comparisons.rows import Row, Table
from comparisons.scenarios import REFERENCE

ENGINE, GRAM, FORWARD = "torchjd.Engine", "gram", "forward"
GROUPED = ("torch", "per_loss_grouped")
NEEDS = {
    "torchjd.jac": "torchjd",
    "torchjd.jac, chunk 1": "torchjd",
    "torchjd.mtl_backward": "torchjd",
    "torchjd.mtl_backward, chunk 1": "torchjd",
    "torch.func.vmap(vjp)": "torch",
    ENGINE: "torchjd",
}
OURS = {
    "torch": (REFERENCE, "per_loss_batched", "per_loss_split", "per_loss_grouped"),
    "jax": (REFERENCE, "per_loss_batched", "per_loss_grouped"),
}
FASTER, LIGHTER, NEAR, COPIES = 1.3, 0.6, 1.05, 2
Key = tuple[str, str]  # framework, call


def targets(found: Mapping[Key, Row], samples: Samples, chosen: Mapping[str, str]) -> Iterator[Row]:
    """A row a target that the measured calls can judge; `chosen` is what each side's `fastest` says."""
    taken = [key for key in found if key in samples]
    ours = {side: [(side, name) for name in OURS[side] if (side, name) in taken] for side in OURS}
    rivals = [key for key in taken if key[1].startswith("torchjd") and key[1] != ENGINE]
    if rivals:
        yield from _against(found, samples, ours["torch"], rivals)
    if ("torch", ENGINE) in taken and ("torch", GRAM) in taken:
        yield _gram(found, samples)
    for side, name in chosen.items():
        if (side, name) in ours[side]:
            best = _fastest(found, ours[side])
            slower, low, _ = ratio(samples, (side, name), best)
            said = f"{side}'s fastest(problem) is within {NEAR - 1:.0%} of the best measured"
            apart = "in three rounds of four" if low > 1 else "but not in three rounds of four: noise"
            cause = f"it chooses {name}, and {best[1]} was faster, {apart}"
            yield _target(said, f"{name}: {slower:.2f} of its time", slower <= NEAR, cause)


def _against(found: Mapping[Key, Row], samples: Samples, ours: list[Key], rivals: list[Key]) -> Iterator[Row]:
    best, rival = _fastest(found, ours), _fastest(found, rivals)
    regime, row = found[best]["regime"], found[best]
    better = [key for key in rivals if all(found[key][what] < row[what] for what in ("seconds", "peak"))]
    told = ", ".join(f"{name}: {found[side, name]['peak'] / row['peak']:.0%} of its peak" for side, name in better)
    said = "no call of torchjd is both faster and lighter than our fastest"
    yield _target(said, f"{best[1]}: {len(better)} of {len(rivals)} are", not better, told)
    if regime == "overhead":
        light = [key for key in ours if found[key]["peak"] <= found[rival]["peak"]]
        one = _fastest(found, light or ours)
        speed, share = ratio(samples, rival, one).median, found[one]["peak"] / found[rival]["peak"]
        same = ratio(samples, ("torch", FORWARD), one).median
        cause = f"the losses' own forward, the same for both, takes {same:.0%} of our time"
        said = f"{FASTER}x faster than torchjd's fastest, at no more than its peak"
        measured = f"{one[1]}: {speed:.2f}x {rival[1]}, at {share:.0%} of its peak"
        yield _target(said, measured, speed >= FASTER and share <= 1, cause)
    if regime == "compute":
        light = [key for key in ours if found[key]["peak"] <= LIGHTER * found[rival]["peak"]]
        one = _fastest(found, light or ours)
        speed, share = ratio(samples, rival, one).median, found[one]["peak"] / found[rival]["peak"]
        least = (row["gradients"] + row["held"]) / found[rival]["peak"]
        cause = (
            f"its products are as many as ours and rule the time; of its peak, {least:.0%} is gradients and "
            "what the forward holds"
        )
        said = f"no slower than torchjd's fastest, at {LIGHTER:.0%} of its peak"
        measured = f"{one[1]}: {speed:.2f}x {rival[1]}, at {share:.0%} of its peak"
        yield _target(said, measured, speed >= 1 and share <= LIGHTER, cause)
    copies = row["scratch"] / row["gradient"]
    cause = "all losses' cotangents are alive at once, one array of the features' size for each, at every layer"
    said = f"scratch of our fastest beyond gradients and residuals: at most {COPIES} gradient copies"
    yield _target(said, f"{best[1]}: {copies:.1f}", copies <= COPIES, cause)


def _gram(found: Mapping[Key, Row], samples: Samples) -> Row:
    ours, engine = ("torch", GRAM), ("torch", ENGINE)
    speed, share = ratio(samples, engine, ours).median, found[ours]["peak"] / found[engine]["peak"]
    causes = []
    if share > 1:
        causes.append("a layer's backward makes its input's K cotangents beside its weights' K gradients")
    if speed < FASTER:
        part = f"takes {ratio(samples, GROUPED, ours).median:.0%} of its time" if GROUPED in samples else "comes first"
        causes.append(f"{GROUPED[1]}, the same backward without the products, {part}")
    said = f"gram: {FASTER}x faster than torchjd's engine and no heavier"
    return _target(said, f"{speed:.2f}x, at {share:.0%} of its peak", not causes, "; ".join(causes))


def _fastest(found: Mapping[Key, Row], keys: list[Key]) -> Key:
    return min(keys, key=lambda key: found[key]["seconds"])


def _target(target: str, measured: str, met: bool, cause: str) -> Row:
    return {"kind": "target", "target": target, "measured": measured, "met": met, "cause": "" if met else cause}


def tables(rows: list[Row]) -> list[Table]:
    """A table a regime and K: ours and the peers, fastest first."""
    places: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row["kind"] == "peer":
            places.setdefault((row["regime"], row["losses"]), []).append(row)
    title = "time in terms of the same side's summed; bytes beyond the arguments, and scratch in gradient copies"
    header = ["call", "side", "time", "quartiles", "peak", "scratch"]
    return [
        Table(f"{regime}, K={k}, ours and the peers: {title}", header, [_line(row) for row in _in_order(found)])
        for (regime, k), found in places.items()
    ]


def judged(rows: list[Row]) -> Iterator[list[str]]:
    """The lines of the targets: what, where, met or missed, measured, cause."""
    for row in rows:
        if row["kind"] == "target":
            verdict = "met" if row["met"] else "missed"
            yield [row["target"], f"{row['regime']} K={row['losses']}", verdict, row["measured"], row["cause"]]


def _in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["framework"] == "jax", row.get("seconds", float("inf"))))


def _line(row: Row) -> list[str]:
    if "time_ratio" not in row:
        reason = row.get("reason", "")
        return [row["call"], row["framework"], row["status"].replace("_", " ").upper(), reason, "", ""]
    low, high = row["spread"]
    scratch = f"{row['scratch'] / row['gradient']:.1f}" if "scratch" in row else ""
    time, quartiles = f"{row['time_ratio']:.2f}", f"{low:.2f}-{high:.2f}"
    return [row["call"], row["framework"], time, quartiles, f"{row['peak'] / 1e6:.2f} MB", scratch]
