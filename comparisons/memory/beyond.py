"""`memory --simulate`: the ledger without allocation, as rows; what it costs to simulate, and what fits."""

from functools import partial
from time import perf_counter

from comparisons.ahead import Used, ahead, used
from comparisons.memory import simulated
from comparisons.memory.fits import parsed
from comparisons.memory.ledger import WHY_NO_PHASES, _phases, _row
from comparisons.problems import shapes
from comparisons.rows import Row, Unit, failed
from comparisons.scenarios import Cell

ASSUMES = {
    "torch": "PyTorch's operators on tensors without memory, attention by its math backend; no workspaces, no rounding",
    "jax": "no kernels and no scratch: arguments and results, by shape",
    "plan": "XLA's plan for the CPU, one program",
}
PEAKS = ("peak", "plan")


def units(grid: list[Cell], size: str, plans: bool, fits: str | None, jobs: int) -> list[Unit]:
    """One unit for each cell and side, one for each compiled plan, and what the simulation itself took."""
    limit = parsed(fits) if fits else None
    cells = list(dict.fromkeys((cell.problem, cell.strategy) for cell in grid))
    parts = {"torch": _torch, "jax": _jax} | ({"jax plan": _plan} if plans else {})
    found = [
        Unit("memory", name, f"{name}  {strategy}  {side}", partial(rows, part, name, strategy, size, limit))
        for name, strategy in cells
        for side, part in parts.items()
    ]
    by_process: dict[int, Used] = {}
    found = ahead(found, jobs, by_process)
    return [*found, Unit("memory", "resources", "resources", partial(resources, size, perf_counter(), by_process))]


def rows(part, name: str, strategy: str, size: str, limit: int | None = None) -> list[Row]:
    """One cell on one side, its peak against the limit; if it crashes, one row with status `failed`."""
    try:
        found = part(name, strategy, size)
        return [
            row | {"limit": limit, "fits": row["bytes"] <= limit} if limit and row["phase"] in PEAKS else row
            for row in found
        ]
    except Exception as error:
        return [failed(head("torch" if part is _torch else "jax", name, strategy, size, ""), error)]


def head(framework: str, name: str, strategy: str, size: str, phase: str) -> Row:
    row = _row(framework, name, strategy, size, "cpu", phase)
    return row | {"id": row["id"].replace("memory/", "memory/simulated/", 1), "kind": "simulated"}


def _torch(name: str, strategy: str, size: str) -> list[Row]:
    found: list[Row] = []
    own = partial(head, "torch", name, strategy, size)
    try:
        marks, peak, arguments, why = simulated.in_torch(name, shapes(name, size), strategy)
    except NotImplementedError as error:
        return [own("forward") | {"status": "unsupported", "reason": str(error).splitlines()[0]}]
    if why:
        found.append(own("forward") | {"status": "unsupported", "reason": why})
    else:
        _phases(found, own, marks)
    figures = _figures(peak + arguments, simulated.bound(name), ASSUMES["torch"])
    return [*found, own("peak") | figures | {"arguments": arguments}]


def _jax(name: str, strategy: str, size: str) -> list[Row]:
    found: list[Row] = []
    own = partial(head, "jax", name, strategy, size)
    marks, arguments, results = simulated.in_jax(name, shapes(name, size), strategy)
    if marks:
        _phases(found, own, marks)
    else:
        found.append(own("forward") | {"status": "unsupported", "reason": WHY_NO_PHASES["jax"]})
    figures = {"arguments": arguments, "output": results}
    return [*found, own("peak") | _figures(arguments + results, simulated.LOWER, ASSUMES["jax"]) | figures]


def _plan(name: str, strategy: str, size: str) -> list[Row]:
    plan = simulated.plan(name, shapes(name, size), strategy)
    row = head("jax", name, strategy, size, "plan") | _figures(plan.peak, simulated.EXACT, ASSUMES["plan"])
    return [row | {"kind": "planned", "arguments": plan.argument, "output": plan.output, "temp": plan.temp}]


def _figures(size: int, bound: str, assumes: str) -> Row:
    return {"bytes": size, "bound": bound, "assumes": assumes}


def resources(size: str, start: float, by_process: dict[int, Used]) -> list[Row]:
    """The seconds since the start; those on a processor and the most memory, of this process and its workers."""
    every = [used(), *by_process.values()]
    seconds, most = sum(each.seconds for each in every), sum(each.bytes for each in every)
    figures = {"bytes": most, "seconds": round(perf_counter() - start, 1), "cpu_seconds": round(seconds, 1)}
    row = {"id": f"memory/simulated/{size}/resources", "size": size, "phase": "resources", "kind": "observed"}
    return [row | {"problem": None, "framework": "both", "status": "ok"} | figures]
