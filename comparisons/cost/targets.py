"""Targets: what was hoped for, what was measured, and the cause where it was missed. They change no exit status."""

from collections.abc import Iterator

from comparisons.cost.leads import judged
from comparisons.rows import Row, Table

EFFICIENCY, ADDED = 0.85, 0.02


def targets(rows: list[Row]) -> list[Table]:
    """A table a target: a line a place, with what was measured and, where that misses, the cause."""
    ok = [row for row in rows if row["status"] == "ok"]
    found: dict[str, list[list[str]]] = {}
    for target, *line in [*_efficiency(ok), *_sides(ok), *_harness(ok), *judged(ok)]:
        found.setdefault(target, []).append(line)
    return [Table(f"target: {target}", ["where", "", "measured", "cause"], lines) for target, lines in found.items()]


def _efficiency(rows: list[Row]) -> Iterator[list[str]]:
    """Compute-bound: a strategy's FLOP/s, at least 85% of the summed gradient's in the same process.

    On the CPU: a GPU spends these sizes launching kernels.
    """
    cpu = [row for row in rows if row["kind"] == "time" and row.get("device") != "cuda"]
    timed = {row["id"]: row for row in cpu if row["regime"] == "compute"}
    for row in timed.values():
        if row.get("efficiency") and row["strategy"] != "summed" and row["precision"] == "float32":
            base = timed.get(row["id"].replace(f"/{row['strategy']}/", "/summed/"))
            where = f"{row['framework']} {row['strategy']} K={row['losses']}"
            met = row["efficiency"] >= EFFICIENCY
            yield [
                "at least 85% of the summed gradient's FLOP/s, compute-bound",
                where,
                *_met(met, f"{row['efficiency']:.0%}", _slower(row, base)),
            ]


def _sides(rows: list[Row]) -> Iterator[list[str]]:
    """JAX's fastest gradient per loss, no slower than PyTorch's, in every regime."""
    places: dict[str, list[Row]] = {}
    timed = [row for row in rows if row["kind"] == "time" and row["precision"] == "float32"]
    for row in timed:
        if "against_torch" in row:
            places.setdefault(f"{row['regime']} K={row['losses']}", []).append(row)
    for where, found in places.items():
        best = min(found, key=lambda row: row["against_torch"])
        place = (best["regime"], best["losses"], "eager", best["rival"])
        rival = next(r for r in timed if (r["regime"], r["losses"], r["mode"], r["strategy"]) == place)
        cause = f"products take {_share(best)} of JAX's time, {_share(rival)} of PyTorch's; then {best.get('beside')}"
        measured = f"{best['against_torch']:.2f}"
        yield [
            "JAX's best gradient per loss takes no longer than PyTorch's best",
            where,
            *_met(best["against_torch"] <= 1, measured, cause),
        ]


def _harness(rows: list[Row]) -> Iterator[list[str]]:
    """A timed call, in terms of the same gradients taken by hand."""
    for row in rows:
        if row["kind"] == "harness":
            added, low, high = (f"{ratio - 1:+.1%}" for ratio in (row["time_ratio"], *row["spread"]))
            met, inside = row["time_ratio"] - 1 <= ADDED, row["spread"][0] - 1 <= ADDED
            noise = "the quartiles lie on both sides of it: noise" if inside else "calls of K=8, overhead-bound"
            measured = f"{added} (quartiles {low}, {high})"
            yield [
                "the harness adds at most 2%",
                row["framework"],
                *_met(met, measured, noise),
            ]


def _slower(row: Row, base: Row | None) -> str:
    """Whether time is lost beside the products, or in them."""
    if base is None or row.get("in_products") is None or base.get("in_products") is None:
        return "not profiled"
    rate = row["efficiency"] * base["in_products"] / row["in_products"]
    share = f"products take {_share(row)} of its time ({_share(base)} of summed's)"
    return f"{share} at {rate:.0%} of summed's rate; then {row['beside']}"


def _share(row: Row) -> str:
    return "?" if row.get("in_products") is None else f"{row['in_products']:.0%}"


def _met(met: bool, measured: str, cause: str) -> list[str]:
    return ["met", measured, ""] if met else ["missed", measured, cause]
