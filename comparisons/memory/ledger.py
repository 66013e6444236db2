"""The ledger: problem x strategy x framework, what is held at each phase, and the peak."""

from functools import lru_cache, partial

import jax_impl.memory
from comparisons.frameworks import jax_scope
from comparisons.memory import predictions, sides
from comparisons.memory.accounted import accounted
from comparisons.memory.predictions import Sizes
from comparisons.problems import SIZES, problem
from comparisons.rows import Row, Unit, failed
from comparisons.scenarios import Cell

WHY_NO_PHASES = {
    "torch": "no backward over saved tensors: hooks cannot see into torch.func",
    "jax": "no pullback leaves a function: inside one `jit` there is a plan and there are no phases",
}


def units(grid: list[Cell], size: str, device: str) -> list[Unit]:
    """One unit for each problem's two instruments, and one for each cell and framework."""
    cells = list(dict.fromkeys((cell.problem, cell.strategy) for cell in grid))
    found = []
    for name in dict.fromkeys(name for name, _ in cells):
        for framework in ("torch", "jax"):
            label = f"{name}  two instruments  {framework}"
            found.append(Unit("memory", name, label, partial(instruments, framework, name, size, device)))
    for name, strategy in cells:
        for framework in ("torch", "jax"):
            label = f"{name}  {strategy}  {framework}"
            found.append(Unit("memory", name, label, partial(rows, framework, name, strategy, size, device)))
    return found


def instruments(framework: str, name: str, size: str, device: str) -> list[Row]:
    """The whole graph's or pullback's held bytes by two instruments that share nothing; they must agree to the byte."""
    row = _row(framework, name, "", size, device, "instruments")
    try:
        if framework == "torch":
            measured, other = sides.torch_instruments(sides.torch_side(name, problem(name, size), device=device))
        else:
            with jax_scope(sides.DTYPE, device):
                measured, other = sides.jax_instruments(_shared(name, size, device))
    except Exception as error:
        return [failed(row, error)]
    return [judged(row | {"bytes": measured}, other, "the second instrument")]


def rows(framework: str, name: str, strategy: str, size: str, device: str) -> list[Row]:
    """One cell on one side; if it crashes, what it gave so far and one row with status `failed`."""
    found: list[Row] = []
    head = _row(framework, name, strategy, size, device, "")
    try:
        if framework == "torch":
            _torch(found, name, strategy, size, device)
        else:
            with jax_scope(sides.DTYPE, device):
                _jax(found, name, strategy, size, device)
    except Exception as error:
        found.append(failed(head, error))
    return found


def _torch(found: list[Row], name: str, strategy: str, size: str, device: str) -> None:
    side = sides.torch_side(name, problem(name, size), strategy, device)
    head = partial(_row, "torch", name, strategy, size, device)
    try:
        _phases(found, head, sides.torch_phases(strategy, side))
    except NotImplementedError as error:  # a GPU's LSTM has no forward mode
        found.append(head("forward") | {"status": "unsupported", "reason": str(error).splitlines()[0]})
        return
    except RuntimeError as error:
        if "torch.func" not in str(error):
            raise
        found.append(head("forward") | {"status": "unsupported", "reason": str(error)})
    arguments = sides.nbytes(side.arrays)
    peak = sides.torch_peak(strategy, side, device) + arguments
    most = max((row["bytes"] for row in found if "bytes" in row), default=0) + arguments
    row = head("peak") | {"bytes": peak, "arguments": arguments}
    if peak < most:
        row |= {"status": "differs", "reason": f"below the {most:,} B that are held at once"}
    found.append(row)
    if device == "cuda":
        row |= accounted(name, strategy, size, side, arguments)
        taken, asked, counted = row["accounted"], row["requested"], row["bytes"]
        if taken != asked or counted < taken:
            reason = f"operators return and take {taken:,} B, {asked:,} B were asked for, {counted:,} B counted"
            row |= {"status": "differs", "reason": reason}


def _jax(found: list[Row], name: str, strategy: str, size: str, device: str) -> None:
    side = _shared(name, size, device)._replace(rest=sides.jax_rest(problem(name, size), strategy))
    head = partial(_row, "jax", name, strategy, size, device)
    _phases(found, head, sides.jax_phases(strategy, side))
    program, arguments = sides.jax_program(name, strategy, side)
    plan = jax_impl.memory.peak(program)
    figures = {"arguments": plan.argument, "output": plan.output, "temp": plan.temp, "alias": plan.alias}
    found.append(head("plan") | {"kind": "planned", "bytes": plan.peak} | figures)
    if device == "cuda":
        peak = sides.jax_peak_alone(program, arguments)
        found.append(head("peak") | {"bytes": peak, "arguments": plan.argument, "planned": plan.peak})


@lru_cache(maxsize=1)
def _shared(name: str, size: str, device: str) -> sides.Side:
    """One set of losses for a problem's cells: what is compiled for one strategy serves the next."""
    return sides.jax_side(name, problem(name, size))


def _phases(found: list[Row], head, marks: list[tuple[str, int]]) -> None:
    """A row for each phase, and one more for the last backward; `many_heads` comes with its prediction."""
    if len(marks) < 3:
        first = head("forward")
        found.append(first | {"status": "unsupported", "reason": WHY_NO_PHASES[first["framework"]]})
        return
    for phase, size in [*marks, ("last", marks[-2][1])]:
        row = head(phase) | {"bytes": size}
        predicted = None
        if row["problem"] == "many_heads":
            sizes = Sizes(**SIZES["many_heads"][row["size"]])
            predicted = predictions.phase(row["framework"], row["strategy"], phase, sizes)
        elif phase == "dropped":
            predicted = 0
        found.append(judged(row, predicted, "the closed form"))


def judged(row: Row, predicted: int | None, source: str) -> Row:
    """The row with its prediction; it holds where nothing is predicted, or the bytes are the same."""
    row = row | {"predicted": predicted}
    if predicted is not None and row["bytes"] != predicted:
        row |= {"status": "differs", "reason": f"{row['bytes']:,} B, but {source} says {predicted:,} B"}
    return row


def _row(framework: str, name: str, strategy: str, size: str, device: str, phase: str) -> Row:
    parts = ("memory", name, strategy, size, device, framework, phase.replace(" ", "-"))
    return {
        "id": "/".join(filter(None, parts)),
        "problem": name,
        "strategy": strategy or None,
        "framework": framework,
        "size": size,
        "device": device,
        "phase": phase or None,
        "kind": "observed",
        "status": "ok",
    }
