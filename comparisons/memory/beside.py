"""A GPU's peaks beside what was said of them before, the simulation's and the plan's, and what they are made of."""

from comparisons.memory import sides, simulated
from comparisons.memory.sides import Side
from comparisons.problems import shapes
from comparisons.rows import Row


def torch_peak(name: str, strategy: str, size: str, side: Side, arguments: int) -> Row:
    """Fields of a PyTorch peak on a GPU; an LSTM is not simulated, since it is another operator there."""
    requested, seen = sides.torch_on_gpu(strategy, side)
    inside = sorted(((size, name) for name, size in seen.inside.items() if size), reverse=True)
    found: Row = {"requested": requested + arguments, "accounted": seen.whole + arguments}
    found |= {"workspaces": {name: size for size, name in inside}}
    if name in simulated.BY_DEVICE:
        return found
    _, peak, *_ = simulated.in_torch(name, shapes(name, size), strategy)
    return found | {"simulated": peak + arguments, "bound": simulated.bound(name, strategy)}
