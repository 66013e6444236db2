"""What a PyTorch peak on a GPU is made of, beside what the simulation says of it."""

from comparisons.memory import sides, simulated
from comparisons.memory.sides import Side
from comparisons.problems import shapes
from comparisons.rows import Row


def accounted(name: str, strategy: str, size: str, side: Side, arguments: int) -> Row:
    """Fields of the peak's row."""
    requested, seen = sides.torch_accounted(strategy, side)
    inside = sorted(seen.inside.items(), key=lambda of: -of[1])
    found: Row = {"requested": requested + arguments, "accounted": seen.whole + arguments}
    found |= {"workspaces": {operator: most for operator, most in inside if most}}
    try:
        _, peak, *_ = simulated.in_torch(name, shapes(name, size), strategy, "cuda")
    except NotImplementedError as error:
        return found | {"not_simulated": str(error).splitlines()[0]}
    return found | {"simulated": peak + arguments}
