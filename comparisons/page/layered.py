"""A layered layout: nodes in ranks from inputs to losses, placed near what they are linked to."""

from collections.abc import Mapping, Sequence

Place = tuple[float, float]


def layout(ranks: Mapping[int, int], edges: Sequence[tuple[int, int]], across: float, down: float) -> dict[int, Place]:
    """Centres of the nodes; `ranks` count from 0 at the top. Sweeps over barycentres, then columns of equal width."""
    ranks = _late(dict(ranks), edges)
    rows: dict[int, list[int]] = {}
    for node in ranks:
        rows.setdefault(ranks[node], []).append(node)
    linked: dict[int, list[int]] = {node: [] for node in ranks}
    for source, target in edges:
        linked[source].append(target)
        linked[target].append(source)
    x = {node: float(k) for members in rows.values() for k, node in enumerate(members)}
    for sweep in range(24):
        for rank in sorted(rows, reverse=sweep % 2 == 0):
            wanted = {node: _mean([x[other] for other in linked[node]], x[node]) for node in rows[rank]}
            order = sorted(rows[rank], key=lambda node: (wanted[node], node))
            x |= dict(zip(order, _apart([wanted[node] for node in order]), strict=True))
    left = min(x.values())
    return {node: ((x[node] - left) * across, ranks[node] * down) for node in ranks}


def _late(ranks: dict[int, int], edges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Each node one rank above the first that uses it: parameters stand beside their layer."""
    for node in sorted(ranks, key=lambda n: -ranks[n]):
        users = [ranks[target] for source, target in edges if source == node]
        if users:
            ranks[node] = min(users) - 1
    return ranks


def _apart(wanted: list[float]) -> list[float]:
    """The nearest positions in this order that are at least 1 apart: runs that collide share their mean."""
    runs: list[list[float]] = []  # [sum of what is left of each one's wish, length]
    for k, wish in enumerate(wanted):
        runs.append([wish - k, 1])
        while len(runs) > 1 and runs[-2][0] / runs[-2][1] >= runs[-1][0] / runs[-1][1]:
            total, count = runs.pop()
            runs[-1] = [runs[-1][0] + total, runs[-1][1] + count]
    placed: list[float] = []
    for total, count in runs:
        placed += [total / count + len(placed) + i for i in range(int(count))]
    return placed


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
