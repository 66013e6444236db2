"""MAML on sines, as in the course's lesson 45: the outer gradient through any number of inner steps.

The lesson's task: 5 points of a sine of amplitude 0.1 to 5 and phase 0 to pi, a network 1-40-40-1, one inner step of
0.01; its ReLU is a tanh here, so that second derivatives are not zero and finite differences are smooth.
"""

from functools import cache, partial

import numpy as np
from torch import autograd

from comparisons.difference import TOLERANCE, Gradients, difference
from comparisons.higher_order.judge import SIDES, Arrays, gradients, judged, network, relative, slope, tensors
from comparisons.rows import Row

POINTS, RATE = 5, 0.01
STEPS = (1, 5)
CASE = "MAML"
FINITE_DIFFERENCES = 1e-9  # what central differences at two steps of 1e-3 can tell in float64


@cache
def start() -> Arrays:
    return network(1, 40, 40, 1, seed=6)


def tasks() -> tuple[Arrays, Arrays]:
    """Support and query points of one sine."""
    rng = np.random.default_rng(7)
    amplitude, phase = rng.uniform(0.1, 5), rng.uniform(0, np.pi)
    xs = rng.uniform(-5, 5, (2, POINTS, 1))
    support, query = ({"x": x, "y": amplitude * np.sin(x[:, 0] + phase)} for x in xs)
    return support, query


def rows() -> list[Row]:
    """For each number of steps and either order: torch against JAX, and torch against finite differences.

    The derivative that first order takes is that of the query loss with the inner gradients held: so its differences
    are taken. How far it is from the second order's is shown.
    """
    found = []
    for steps in STEPS:
        taken = cache(partial(_taken, steps=steps))
        for name, second in (("second order", True), ("first order", False)):
            row = _row(f"{name}: torch against JAX", steps)
            found.append(judged(row, lambda: _worst(taken("torch", second), taken("jax", second)), TOLERANCE))
            row = _row(f"{name}: finite differences", steps)
            found.append(
                judged(row, lambda: _differences(taken("torch", second)["query"], steps, second), FINITE_DIFFERENCES)
            )
            if not second:
                row = _row("first order: from second order", steps)
                found.append(judged(row, lambda: _worst(taken("torch", False), taken("torch", True)), np.inf))
    return found


def _row(check: str, steps: int) -> Row:
    row: Row = {"id": f"higher_order/maml/{steps}/{check}", "kind": "maml", "steps": steps}
    case = f"{CASE}, {steps} step{'s' * (steps != 1)}"
    return row | {"case": case, "check": check, "framework": "both", "order": 2}


def _taken(side: str, second: bool, steps: int) -> Gradients:
    return gradients(side, _losses(steps, second), start(), *tasks())


@cache
def _losses(steps: int, second: bool):
    def losses(module, params, support, query) -> dict:
        return {"query": module.maml(module.sine_loss, params, support, query, steps, RATE, second_order=second)}

    return losses


def _worst(actual: Gradients, expected: Gradients) -> float:
    return difference(actual, expected).pairs[0].relative_error


def _differences(gradient, steps: int, second: bool) -> float:
    support, query = map(tensors, tasks())
    along = network(1, 40, 40, 1, seed=8)
    held = dict.fromkeys(start(), 0.0) if second else _moved(steps, support)

    def value(params: Arrays) -> float:
        if second:
            return _losses(steps, True)(SIDES["torch"], tensors(params, leaves=True), support, query)["query"].item()
        return SIDES["torch"].sine_loss(tensors({n: p + held[n] for n, p in params.items()}), query).item()

    claimed = sum(np.vdot(g, along[name]) for name, g in gradient.items())
    return relative(slope(value, start(), along), claimed)


def _moved(steps: int, support) -> Arrays:
    """How far the inner descent goes from where it starts."""
    params = tensors(start(), leaves=True)
    for _ in range(steps):
        inner = autograd.grad(SIDES["torch"].sine_loss(params, support), list(params.values()))
        params = {n: (p - RATE * g).detach().requires_grad_() for (n, p), g in zip(params.items(), inner, strict=True)}
    return {name: p.detach().numpy() - start()[name] for name, p in params.items()}
