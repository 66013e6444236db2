"""Given two functions of the same parameters: the same losses and gradients, or an error that says which is wrong."""

from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from comparisons.difference import TOLERANCE, Difference, difference, same_names
from comparisons.layout import Arrays, Layout
from comparisons.testing import blame
from comparisons.testing import strategies as chosen
from comparisons.testing.agreement import Agreement, values
from comparisons.testing.gradients import GradientMismatch
from comparisons.testing.scalars import finite
from comparisons.testing.sides import NAMES, Side, sides
from comparisons.usage import BadInput

DIRECTIONS = (17, 18)


def assert_losses_match(
    torch_losses: Callable,
    jax_losses: Callable,
    torch_params: Any,
    *,
    layout: Layout | None = None,
    batch: Mapping | None = None,
    order: int = 1,
    strategies: Iterable[str] = (),
    tolerance: float = TOLERANCE,
    float32: bool = True,
) -> Agreement:
    """Both functions give the same losses and the same gradients in float64, or GradientMismatch says what differs.

    Each maps parameters to {loss: scalar}. `torch_params` is {name: array}, mapped by `layout` for JAX; or what `port`
    returned, and then the functions are given the two modules. `batch` ({name: array}) is passed as a second argument
    in the precision of the run; without it, take the dtype from the parameters. Loss values are compared first, then
    each loss's gradient, at `order=2` its Hessian times two fixed directions, and the gradients of each of the
    project's `strategies` that a plain function allows. Where derivatives differ, each side's own finite differences
    say which one is not the derivative of its function; where rounding explains a difference, or a value that changes
    from call to call, that is said instead.
    `float32` is measured against float64 and never fails.
    """
    if order not in (1, 2):
        raise BadInput(f"`order` must be 1 or 2 (got {order!r})")
    if not (isinstance(tolerance, Real) and tolerance >= 0):
        raise BadInput(f"`tolerance` must be a number from 0 up, in units of leaf scale (got {tolerance!r})")
    strategies = tuple(strategies)
    chosen.accepted(strategies, torch_params)
    both, params = sides(torch_losses, jax_losses, torch_params, layout, batch)
    seen = {name: both[name].gradients([params])[0] for name in ("torch", "jax")}
    (jax_values, actual), (torch_values, expected) = seen["jax"], seen["torch"]
    same_names("losses", jax_values, torch_values, NAMES)
    finite({"jax": jax_values, "torch": torch_values})
    found = difference(actual, expected, tolerance, NAMES)
    losses = values(jax_values, torch_values, params, expected)
    if found.unequal or any(value.relative_error > tolerance for value in losses):
        notes = getattr(torch_params, "notes", ())
        raise blame.first(found, losses, tolerance, params, {"jax": actual, "torch": expected}, both, notes)
    products = []
    for seed in DIRECTIONS if order == 2 else ():
        along = _direction(params, seed)
        rows = {name: both[name].products(params, along) for name in NAMES}
        products.append(difference(rows["jax"], rows["torch"], tolerance, NAMES, order=2))
        if products[-1].unequal:
            raise blame.second(products[-1], losses, params, along, rows, both)
    taken = chosen.taken(strategies, both, params, expected)
    for name, apart in taken.items():
        if apart.unequal:
            raise GradientMismatch(apart, f"losses and gradients agree; those of strategy {name} do not")
    single = {name: _single(name, both[name], params, expected) for name in NAMES} if float32 else {}
    return Agreement(losses, found, tuple(products), taken, single)


def _single(name: str, side: Side, params: Arrays, expected: Mapping) -> Difference | str:
    """A float32 run is information: where the reader's function has no float32 form, the reason stands instead."""
    try:
        _, grads = side.gradients([params], "float32")[0]
    except Exception as error:
        return f"not measured ({type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]})"
    return difference(grads, expected, np.inf, (f"{name} float32", "float64"))


def _direction(params: Arrays, seed: int) -> Arrays:
    if any(np.iscomplexobj(p) for p in params.values()):
        raise BadInput(
            "`order=2` takes real parameters: the second derivative by a complex one has no single convention"
        )
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(p.shape) * (np.sqrt(np.mean(p**2)) or 1.0) for name, p in params.items()}
