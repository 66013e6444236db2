"""What is asked of `memory`, checked before any work: one line for a reader's mistake."""

from collections.abc import Sequence

from comparisons import memory, scenarios
from comparisons.memory import fits as limits
from comparisons.problems import BEYOND, SIZES
from comparisons.scenarios import STRATEGIES, Cell
from comparisons.usage import BadUsage, known


def cells(
    problems: Sequence[str],
    strategies: Sequence[str],
    full: bool,
    size: str,
    device: str,
    simulate: bool,
    fits: str | None,
    plans: bool,
    curves: bool,
) -> list[Cell]:
    """The cells that were asked for."""
    known("--size", [size], ("tiny", "default", "large", *BEYOND))
    known("--strategy", strategies, STRATEGIES)
    known("--problem", problems, BEYOND.get(size, SIZES))
    for given, flag in ((fits is not None, "--fits"), (plans, "--plans"), (size in BEYOND, f"--size {size}")):
        if given and not simulate:
            raise BadUsage(f"{flag} is of a simulation: add --simulate")
    if simulate and device != "cpu":
        raise BadUsage(f"--simulate takes shapes on the CPU alone (given: --device {device}): leave --device out")
    if curves and (problems or strategies or full or size != "tiny" or simulate or device != "cpu"):
        raise BadUsage("--curves is of many_heads and four strategies at sizes of its own, by shapes: give it alone")
    if fits is not None:
        limits.parsed(fits)
    if size in BEYOND:
        return [Cell(name, strategy) for name in BEYOND[size] for strategy in strategies or STRATEGIES]
    if not problems and not strategies:
        return memory.cells(full)
    return scenarios.cells(True, problems, strategies, ("float64",), STRATEGIES)
