"""Targets: what was hoped for, what was measured, and the cause where it was missed. They change no exit status."""

from collections.abc import Iterator

from comparisons.cost.leads import judged
from comparisons.rows import Row, Table

EFFICIENCY, ADDED = 0.85, 0.02


def targets(rows: list[Row]) -> Table:
    """A line a target and place."""
    ok = [row for row in rows if row["status"] == "ok"]
    return Table(
        "targets; they change no exit status",
        ["target", "where", "measured", "", "cause"],
        [*_efficiency(ok), *_sides(ok), *_harness(ok), *judged(ok)],
    )


def _efficiency(rows: list[Row]) -> Iterator[list[str]]:
    """Compute-bound: a strategy's FLOP/s, at least 85% of the summed gradient's in the same process."""
    timed = {row["id"]: row for row in rows if row["kind"] == "time" and row["regime"] == "compute"}
    for row in timed.values():
        if row.get("efficiency") and row["strategy"] != "summed" and row["precision"] == "float32":
            base = timed.get(row["id"].replace(f"/{row['strategy']}/", "/summed/"))
            where = f"{row['framework']} {row['strategy']} K={row['losses']}"
            met = row["efficiency"] >= EFFICIENCY
            yield ["85% of summed's FLOP/s", where, f"{row['efficiency']:.0%}", *_met(met, _slower(row, base))]


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
        yield ["JAX's best <= PyTorch's best", where, measured, *_met(best["against_torch"] <= 1, cause)]


def _harness(rows: list[Row]) -> Iterator[list[str]]:
    """A timed call, in terms of the same gradients taken by hand."""
    for row in rows:
        if row["kind"] == "harness":
            added, low, high = (f"{ratio - 1:+.1%}" for ratio in (row["time_ratio"], *row["spread"]))
            met = row["time_ratio"] - 1 <= ADDED
            measured = f"{added} (quartiles {low}, {high})"
            yield ["the harness adds <= 2%", row["framework"], measured, *_met(met, "calls of K=8, overhead-bound")]


def _slower(row: Row, base: Row | None) -> str:
    """Whether time is lost beside the products, or in them."""
    if base is None or row.get("in_products") is None or base.get("in_products") is None:
        return "not profiled"
    rate = row["efficiency"] * base["in_products"] / row["in_products"]
    share = f"products take {_share(row)} of its time ({_share(base)} of summed's)"
    return f"{share} at {rate:.0%} of summed's rate; then {row['beside']}"


def _share(row: Row) -> str:
    return "?" if row.get("in_products") is None else f"{row['in_products']:.0%}"


def _met(met: bool, cause: str) -> list[str]:
    return ["met", ""] if met else ["missed", cause]
