"""The WGAN-GP critic on the digits: both sides, an exact case, and gradients that are zero."""

from functools import cache, partial
from typing import Any

import jax
import numpy as np

from comparisons.difference import TOLERANCE, Gradients, difference
from comparisons.higher_order.judge import SIDES, Arrays, gradients, judged, network, relative, slope, tensors
from comparisons.problems import images
from comparisons.rows import Row

BATCH = 64
CASE = "critic"
FINITE_DIFFERENCES = 1e-9  # what central differences at two steps of 1e-3 can tell in float64
NORMS: dict[str, dict[str, Any]] = {
    "plain_norm": {side: module.plain_norm for side, module in SIDES.items()},
    "sqrt of squares": {
        "torch": lambda x: x.square().sum(-1).sqrt(),
        "jax": lambda x: jax.numpy.sqrt(jax.numpy.square(x).sum(-1)),
    },
    "safe_norm": {side: module.safe_norm for side, module in SIDES.items()},
}
NANS = {("jax", "plain_norm"), ("jax", "sqrt of squares"), ("torch", "sqrt of squares")}


def losses(module, params, batch, norm=None) -> dict:
    return module.critic_losses(params, batch, norm or module.safe_norm)


def digits() -> dict[str, np.ndarray]:
    """Digit images, and what an untrained generator makes of noise."""
    rng = np.random.default_rng(4)
    fake = 1 / (1 + np.exp(-rng.standard_normal((BATCH, 8)) @ rng.standard_normal((8, 64))))
    return {"real": images(BATCH)["images"].reshape(BATCH, 64), "fake": fake, "mix": rng.random((BATCH, 1))}


@cache
def start() -> dict[str, np.ndarray]:
    return network(64, 32, 32, 1, seed=1)


def _penalty(norm):
    """The penalty alone."""
    return lambda *given: {"penalty": losses(*given, norm)["penalty"]}


PENALTIES = {(name, side): _penalty(norm[side]) for name, norm in NORMS.items() for side in SIDES}


def rows() -> list[Row]:
    """Torch against JAX, torch against finite differences, a linear critic against its exact gradient, zeros."""
    found, batch = [], digits()
    taken = cache(lambda side: gradients(side, losses, start(), batch))
    for loss in ("wasserstein", "penalty"):
        found.append(
            judged(_row(f"{loss}: torch against JAX"), lambda: _worst(taken("torch"), taken("jax"), loss), TOLERANCE)
        )
    row = _row("penalty: finite differences")
    found.append(judged(row, lambda: _differences(taken("torch")["penalty"], batch), FINITE_DIFFERENCES))
    for side in SIDES:
        found.append(judged(_row("linear critic: exact", side), partial(_linear, side, batch), TOLERANCE))
    return found


def _row(check: str, side: str = "both") -> Row:
    return {"id": f"higher_order/penalty/{check}/{side}", "kind": "penalty", "case": CASE, "check": check} | {
        "framework": side,
        "order": 2,
    }


def _worst(actual: Gradients, expected: Gradients, loss: str) -> float:
    """Over the parameters, in units of each leaf's scale."""
    return difference({loss: actual[loss]}, {loss: expected[loss]}).pairs[0].relative_error


def _differences(gradient, batch: Arrays) -> float:
    along = network(64, 32, 32, 1, seed=2)

    def value(params: Arrays) -> float:
        return losses(SIDES["torch"], tensors(params, leaves=True), tensors(batch))["penalty"].item()

    claimed = sum(np.vdot(g, along[name]) for name, g in gradient.items() if g is not None)
    return relative(slope(value, start(), along), claimed)


def _linear(side: str, batch: Arrays) -> float:
    """A critic w . x has the slope w everywhere: the penalty is 10 (|w| - 1)^2."""
    params = network(64, 1, seed=3)
    params["w0"] = 3 * params["w0"]
    size = np.linalg.norm(params["w0"])
    found = gradients(side, losses, params, batch)["penalty"]["w0"]
    return relative(found, 20 * (size - 1) * params["w0"] / size)


def zero_rows() -> list[Row]:
    """A row a side and norm, for a critic that is flat at one point of the batch, and everywhere.

    `unsupported` where the gradient is NaN, as predicted; elsewhere it is that of the other points: the safe form's.
    """
    one = digits()
    one["fake"] = np.concatenate([np.full((1, 64), 1e6), one["fake"][1:]])  # tanh is 1 there, to the last bit
    one["mix"] = np.concatenate([np.zeros((1, 1)), one["mix"][1:]])
    flat = start() | {"w2": 0 * start()["w2"]}
    found = []
    for case, params, batch in (("flat at one point", start(), one), ("flat everywhere", flat, digits())):
        expected = cache(lambda p=params, b=batch: gradients("torch", losses, p, b)["penalty"])
        for side in SIDES:
            for name in NORMS:
                taken = partial(gradients, side, PENALTIES[name, side], params, batch)
                found.append(_zero(case, side, name, lambda t=taken: t()["penalty"], expected))
    return found


def _zero(case: str, side: str, norm: str, take, expected) -> Row:
    row = _row(f"{case}, {norm}", side) | {"nan": (side, norm) in NANS}

    def error() -> float:
        found = {k: np.zeros(1) if g is None else g for k, g in take().items()}
        row["poisoned"] = float(np.mean(np.concatenate([~np.isfinite(g.ravel()) for g in found.values()])))
        if row["nan"] or row["poisoned"]:
            return float(row["nan"] != (row["poisoned"] > 0))
        return _worst({"penalty": take()}, {"penalty": expected()}, "penalty")

    row = judged(row, error, TOLERANCE)
    if row["nan"] and row["status"] == "ok":
        row |= {"status": "unsupported", "reason": f"{row['poisoned']:.2%} of the gradient is NaN: use `safe_norm`"}
    return row
