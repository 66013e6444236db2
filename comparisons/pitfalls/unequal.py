"""Every case, strategy and framework: what came out, next to what was predicted."""

import itertools
from functools import cache
from importlib import import_module

import jax
import numpy as np
import torch

import jax_impl.first_order
import jax_impl.models.losses
import torch_impl.first_order
import torch_impl.models.losses
from comparisons.difference import Gradients
from comparisons.gradients import implied
from comparisons.pitfalls.cases import CASES, Case, Expected, batch, predicted
from comparisons.rows import Row, failed
from comparisons.scenarios import REFERENCE, STRATEGIES
from comparisons.testing import as_numpy


def rows(name: str) -> list[Row]:
    """One case: a row for each framework and strategy, and one that compares the two frameworks."""
    case = CASES[name]
    found = [_row(name, case, framework, strategy) for framework in ("torch", "jax") for strategy in STRATEGIES]
    sides = [evaluate(name, framework, REFERENCE)[0] for framework in ("torch", "jax")]
    outcome = compare(sides[1], sides[0], case.tolerance) if all(sides) else "raises"
    head = _head(name, case, "sides", REFERENCE)
    found.append(_judged(head | {"predicted": case.sides, "why": case.why_sides, "outcome": outcome}))
    return found


def _row(name: str, case: Case, framework: str, strategy: str) -> Row:
    expected = predicted(case, framework, strategy)
    if strategy == REFERENCE and not case.exact and not case.like:
        expected = Expected("reference", (strategy,), "the others are compared with it")
    row = _head(name, case, framework, strategy) | {"predicted": expected.outcome, "why": expected.why}
    try:
        grads, ran, error = evaluate(name, framework, strategy)
        if error:
            known = "raises" if expected.text in error else "raises something else"
            return _judged(row | {"outcome": known, "message": error})
        if expected.outcome == "reference":
            row["outcome"] = "reference"
        else:
            row["outcome"] = compare(grads, reference(case.like or name, framework, strategy), case.tolerance)
    except Exception as error:  # a fault of the comparison, not of the strategy
        return failed(row, error)
    runs = getattr(case, f"{framework}_runs")
    if runs is not None:
        row |= {"runs": ran, "predicted_runs": runs.get(strategy, 1)}
    return _judged(row)


def _head(name: str, case: Case, framework: str, strategy: str) -> Row:
    return {
        "id": f"pitfalls/unequal/{name}/{framework}/{strategy}",
        "kind": "unequal",
        "case": name,
        "class": case.kind,
        "framework": framework,
        "strategy": strategy,
        "status": "ok",
    }


def _judged(row: Row) -> Row:
    if row["outcome"] != row["predicted"]:
        told = f": {row['message']}" if row.get("message") else ""
        return row | {"status": "differs", "reason": f"predicted {row['predicted']}, found {row['outcome']}{told}"}
    if row.get("runs") != row.get("predicted_runs"):
        told = f"the trunk ran {row['runs']} times, predicted {row['predicted_runs']}"
        return row | {"status": "differs", "reason": told}
    return row


def compare(actual: Gradients, expected: Gradients, tolerance: float) -> str:
    """`equal`, `poisoned` (not finite where the expected is) or `different`. None counts as zeros; NaN equals NaN."""
    outcomes = set()
    for loss, grads in expected.items():
        for parameter, e in grads.items():
            a = actual[loss][parameter]
            if a is None and e is None:
                continue
            e = np.zeros_like(a) if e is None else np.asarray(e, dtype=float)
            a = np.zeros_like(e) if a is None else np.asarray(a, dtype=float)
            finite = np.isfinite(e)
            scale = abs(e[finite]).max(initial=0.0)
            if (finite & ~np.isfinite(a)).any():
                outcomes.add("poisoned")
                continue
            apart = abs(a[finite] - e[finite]) > tolerance * scale
            if apart.any() or not np.array_equal(a[~finite], e[~finite], equal_nan=True):
                outcomes.add("different")
    return next((outcome for outcome in ("poisoned", "different") if outcome in outcomes), "equal")


@cache
def evaluate(name: str, framework: str, strategy: str) -> tuple[Gradients, int, str]:
    """A strategy's gradients on a case, how often the trunk ran, and what it raised instead, if it did."""
    try:
        return *(_torch if framework == "torch" else _jax)(name, strategy), ""
    except Exception as error:  # an error is one of the outcomes
        return {}, 0, f"{type(error).__name__}: {error}".splitlines()[0]


def reference(name: str, framework: str, strategy: str) -> Gradients:
    """What the losses one by one say the strategy should give; for the reference, what was worked out by hand."""
    gives = STRATEGIES[strategy].gives
    if strategy == REFERENCE and CASES[name].exact:
        exact = CASES[name].exact[framework]
        return {loss: {key: np.array(value) for key, value in grad.items()} for loss, grad in exact.items()}
    per_loss, _, error = evaluate(name, framework, "features" if gives == "features" else REFERENCE)
    if error:
        raise RuntimeError(f"the reference of {name} in {framework} raises: {error}")
    if gives == "features":
        return per_loss
    with np.errstate(invalid="ignore"):
        return implied(per_loss, gives, _direction(CASES[name]))


def _direction(case: Case) -> dict[str, np.ndarray]:
    return {key: 1 + np.arange(np.size(value)).reshape(np.shape(value)) / 2 for key, value in case.params.items()}


def _torch(name: str, strategy: str) -> tuple[Gradients, int]:
    case = CASES[name]
    dtype = getattr(torch, case.dtype)
    params = {key: torch.tensor(value, dtype=dtype, requires_grad=True) for key, value in case.params.items()}
    data = {key: torch.tensor(value, dtype=dtype) for key, value in batch(case).items()}
    module, _, function = case.losses.partition(".")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        losses = getattr(import_module(f"torch_impl.pitfalls.{module}"), function)(data)
        if strategy == "features":
            params, losses = _at_features(torch_impl.models.losses.Losses, losses, params)
            params["z"] = params["z"].detach().requires_grad_()
            found = torch_impl.first_order.per_loss_retained(losses, params)
        elif STRATEGIES[strategy].gives == "along":
            along = {key: torch.tensor(value, dtype=dtype) for key, value in _direction(case).items()}
            found = torch_impl.first_order.directional(losses, params, along)
        else:
            found = getattr(torch_impl.first_order, strategy)(losses, params)
    return _arrays(found, strategy), int(data["updates"])


def _jax(name: str, strategy: str) -> tuple[Gradients, int]:
    case = CASES[name]
    with jax.enable_x64(case.dtype == "float64"):
        params = {key: jax.numpy.asarray(value, case.dtype) for key, value in case.params.items()}
        data: dict = {key: jax.numpy.asarray(value, case.dtype) for key, value in batch(case).items()}
        data |= {key: jax.new_ref(data[key]) for key in ("running", "updates")}
        key = jax.random.key(3)
        data |= {"key": key, "keys": (jax.random.fold_in(key, k) for k in itertools.count())}
        module, _, function = case.losses.partition(".")
        losses = getattr(import_module(f"jax_impl.pitfalls.{module}"), function)(data)
        if strategy == "features":
            params, losses = _at_features(jax_impl.models.losses.Losses, losses, params)
            found = jax_impl.first_order.per_loss_retained(losses, params)
        elif STRATEGIES[strategy].gives == "along":
            along = {key: jax.numpy.asarray(value, case.dtype) for key, value in _direction(case).items()}
            found = jax_impl.first_order.directional(losses, params, along)
        else:
            found = getattr(jax_impl.first_order, strategy)(losses, params)
        return _arrays(found, strategy), int(data["updates"][...])


def _at_features(kind, losses, params):
    """The same heads with the features as a parameter: the reference for gradients with respect to them."""
    return params | {"z": losses.trunk(params)}, kind(lambda p: p["z"] * 1.0, losses.heads)


def _arrays(found: dict, strategy: str) -> Gradients:
    if strategy == "features":
        return {loss: {"features": as_numpy(grad["z"])} for loss, grad in found.items()}
    gives = STRATEGIES[strategy].gives
    if gives in ("along", "features"):
        return {loss: {gives: as_numpy(value)} for loss, value in found.items()}
    return {loss: {key: as_numpy(value) for key, value in grad.items()} for loss, grad in found.items()}
