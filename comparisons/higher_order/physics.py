"""Two partial differential equations with known solutions, trained on both sides from one start and compared by step.

The allowance at a step is 1e-12 x the measured amplification: what one gradient may be wrong by, times how far a
start moved by 1e-8 has moved the losses by then. It is what `comparisons.trajectories` allows of its loops.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import numpy as np

from comparisons.difference import TOLERANCE
from comparisons.frameworks import jax_scope
from comparisons.higher_order.judge import SIDES, Arrays, jax_arrays, judged, network, tensors
from comparisons.rows import Row
from comparisons.trajectories import Run, drift

STEPS, RATE, NUDGE = 300, 0.02, 1e-8
STATED = 0.02  # root mean square error on a grid, relative to the solution's


def heat(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.exp(-0.1 * np.pi**2 * t) * np.sin(np.pi * x)


def burgers(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """A front that moves at 0.5: u = c - a tanh(a (x - c t - 1/4) / (2 nu)) with c = a = 1/2, nu = 0.1."""
    return 0.5 - 0.5 * np.tanh(2.5 * (x - 0.5 * t - 0.25))


SOLUTIONS: dict[str, Callable] = {"heat": heat, "burgers": burgers}


class Trained(NamedTuple):
    """Parameters at the end, each loss at each step (steps, 3), and the network's values on the grid."""

    params: Arrays
    losses: np.ndarray
    values: np.ndarray

    @property
    def run(self) -> Run:
        return Run(dict(self.params), {})


def points(equation: str) -> Arrays:
    """64 points inside the unit square of x and t, 16 at t = 0, 16 at each edge, with the exact values there."""
    exact, line = SOLUTIONS[equation], np.linspace(0, 1, 16)
    start = np.stack([line, 0 * line], 1)
    edge = np.concatenate([np.stack([0 * line, line], 1), np.stack([0 * line + 1, line], 1)])
    inside = np.random.default_rng(3).random((64, 2))
    return {"inside": inside, "start": start, "start_u": exact(*start.T), "edge": edge, "edge_u": exact(*edge.T)}


def grid() -> np.ndarray:
    line = np.linspace(0, 1, 21)
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)


def start(nudge: float = 0.0) -> Arrays:
    """`nudge` moves every parameter, relative to the largest of its array."""
    params, rng = network(2, 16, 16, 1, seed=1), np.random.default_rng(9)
    return {name: p + nudge * abs(p).max() * rng.choice((-1.0, 1.0), p.shape) for name, p in params.items()}


def in_torch(equation: str, steps: int = STEPS) -> Trained:
    side = SIDES["torch"]
    losses = partial(side.pde_losses, getattr(side, equation))
    params, trajectory = side.train(losses, tensors(start()), tensors(points(equation)), steps, RATE)
    values = side.mlp(params, tensors({"grid": grid()})["grid"])
    return Trained({name: p.numpy() for name, p in params.items()}, trajectory.numpy(), values.numpy())


def in_jax(equation: str, steps: int = STEPS, nudge: float = 0.0) -> Trained:
    with jax_scope("float64", "cpu"):
        params, trajectory, values = compiled(equation, steps)(
            jax_arrays(start(nudge)), jax_arrays(points(equation)), grid()
        )
    return Trained({name: np.asarray(p) for name, p in params.items()}, np.asarray(trajectory), np.asarray(values))


@cache
def compiled(equation: str, steps: int) -> Callable:
    side = SIDES["jax"]

    def run(params, batch, grid):
        params, trajectory = side.train(partial(side.pde_losses, getattr(side, equation)), params, batch, steps, RATE)
        return params, trajectory, side.mlp(params, grid)

    return jax.jit(run)


def rows(equation: str, steps: int = STEPS) -> list[Row]:
    """Each side's error against the solution; the two trajectories at every step; the parameters at the end."""
    trained = {"torch": cache(partial(in_torch, equation, steps)), "jax": cache(partial(in_jax, equation, steps))}
    found = []
    for side, run in trained.items():
        row = _row(equation, "error against the solution", side, steps)
        found.append(judged(row, lambda: _from_solution(equation, run().values), STATED))
    row = _row(equation, "each step: of the allowance", "both", steps)
    found.append(judged(row, partial(_steps, row, equation, steps, *trained.values()), 1.0))
    row = _row(equation, "end parameters: of the allowance", "both", steps)
    found.append(judged(row, partial(_end, row, equation, steps, *trained.values()), 1.0))
    return found


def _row(equation: str, check: str, side: str, steps: int) -> Row:
    row: Row = {"id": f"higher_order/physics/{equation}/{check}/{side}", "kind": "physics", "check": check}
    return row | {"case": f"{equation} equation", "framework": side, "order": 2, "steps": steps}


def _from_solution(equation: str, values: np.ndarray) -> float:
    exact = SOLUTIONS[equation](*grid().T)
    return float(np.sqrt(np.mean((values - exact) ** 2) / np.mean(exact**2)))


def _steps(row: Row, equation: str, steps: int, in_torch: Callable, in_jax_: Callable) -> float:
    """The largest relative difference of a loss at any step, over what is allowed there."""
    expected, moved = in_jax_().losses, in_jax(equation, steps, NUDGE).losses
    apart = (abs(in_torch().losses - expected) / expected).max(1)
    magnified = np.maximum.accumulate((abs(moved - expected) / expected).max(1)) / NUDGE
    row |= {"drift": float(apart.max()), "amplification": float(magnified[-1])}
    return float((apart / (TOLERANCE * magnified)).max())


def _end(row: Row, equation: str, steps: int, in_torch: Callable, in_jax_: Callable) -> float:
    expected = in_jax_().run
    magnified = drift(in_jax(equation, steps, NUDGE).run, expected) / NUDGE
    row |= {"drift": drift(in_torch().run, expected), "amplification": magnified}
    return row["drift"] / (TOLERANCE * magnified)
