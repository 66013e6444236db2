"""An independent judge of products with the Hessian: the losses' own values, at points along two directions.

Along v: `f(x + h v) - f(x) - h g.v - h^2/2 v.Hv` shrinks with h^3 where both derivatives are right, with h^2 where the
product is wrong, with h where the gradient is. Across, with u: `f(x + h u + h v) - f(x + h u) - f(x + h v) + f(x) -
h^2 u.Hv` needs no gradient, and sees a wrong product that v alone does not.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import NamedTuple

import jax
import numpy as np
import torch

from comparisons.frameworks import _jax, _tensor, in_jax, in_torch, jax_scope
from comparisons.higher_order.counts import MODES
from comparisons.layout import Arrays, to_flax
from comparisons.problems import SIZES, Problem, direction, draw, problem
from comparisons.rows import Row, Unit, lacking
from comparisons.scenarios import EVERY
from comparisons.testing.slopes import HALVINGS, _exponent, _inner

Values = list[dict[str, float]]
LOWEST = 2.75  # of a right product's exponent, which is 3 but for the next order in h


class Remainders(NamedTuple):
    """Exponents of the two remainders; None where only rounding is left of them."""

    along: float | None
    across: float | None

    @property
    def right(self) -> bool:
        return all(found is None or found > LOWEST for found in self)


def units(full: bool = False, device: str = "cpu", size: str = "default") -> list[Unit]:
    """One unit a problem and side. By default the main mode on one side: the grid tells that the other is equal."""
    strategies = tuple(mode for mode in MODES if full or EVERY[mode].main)
    return [
        Unit("higher_order", "taylor", f"Taylor  {name}  {side}", partial(rows, side, name, strategies, size, device))
        for name in SIZES
        for side in (("torch", "jax") if full else ("torch",))
    ]


def rows(side: str, name: str, strategies: tuple[str, ...], size: str = "default", device: str = "cpu") -> list[Row]:
    """A row for each strategy and loss. The digits are tiny: relu's kinks must lie further apart than the steps."""
    size = "tiny" if name == "digits" else size
    stated, found = problem(name, size), []
    head: Row = {"kind": "taylor", "problem": name, "framework": side, "size": size, "device": device, "order": 2}
    head |= {"dtype": "float64", "status": "ok", "id": f"higher_order/taylor/{name}/{size}/{device}/{side}"}
    take = partial(in_torch if side == "torch" else in_jax, name, stated, device=device)
    try:
        here, single, double, both = _at_points(side, name, stated, device)
        slopes = {loss: float(np.asarray(grad["along"])) for loss, grad in take(strategy="directional").items()}
        slopes["total"] = sum(slopes.values())
        for strategy in strategies:
            for loss, product in take(strategy=strategy).items():
                values = ([v[loss] for v in points] for points in (here, single, double, both))
                judged = judge(stated, slopes[loss], product, *map(np.array, values))
                row = head | {"id": f"{head['id']}/{strategy}/{loss}", "strategy": strategy, "loss": loss}
                row |= judged._asdict()
                if not judged.right:
                    exponents = ", ".join(
                        f"{way} h^{found:.2f}" for way, found in judged._asdict().items() if found is not None
                    )
                    row |= {"status": "differs", "reason": f"the Taylor remainder shrinks with {exponents}, not h^3"}
                found.append(row)
    except Exception as error:  # whatever a framework raises is this problem's result
        found.append(lacking(head, error))
    return found


def judge(stated: Problem, slope: float, product, here, single, double, both) -> Remainders:
    """From g.v, H v, and the values at x, at x + h v, at x + h u and at x + h (u + v), for every step h."""
    h, along, across = steps(stated), direction(stated), second_direction(stated)
    size = abs(single).max() + abs(here[0])
    first = single - here[0] - h * slope - h**2 / 2 * _inner(product, along)
    mixed = both - double - single + here[0] - h**2 * _inner(product, across)
    if not np.isfinite([first, mixed]).all():
        return Remainders(float("nan"), float("nan"))
    return Remainders(_exponent(abs(first), size), _exponent(abs(mixed), size))


def steps(stated: Problem) -> np.ndarray:
    """From an eighth of the parameters' length down to what rounding hides, in units of the direction's."""
    length = {
        name: np.sqrt(_inner(arrays, arrays)) for name, arrays in (("x", stated.params), ("v", direction(stated)))
    }
    return length["x"] / length["v"] * 0.5 ** HALVINGS[:11]


def second_direction(stated: Problem) -> Arrays:
    return draw(stated.layout, seed=18)


def _at_points(side: str, name: str, stated: Problem, device: str) -> list[Values]:
    along, across = direction(stated), second_direction(stated)

    def moved(h: float, k: float) -> Arrays:
        return {p: x + h * along[p] + k * across[p] for p, x in stated.params.items()}

    losses = (_torch_values if side == "torch" else _jax_values)(name, stated, device)
    pairs = [[(0.0, 0.0)], *([(a * h, b * h) for h in steps(stated)] for a, b in ((1, 0), (0, 1), (1, 1)))]
    found = [[losses(moved(*pair)) for pair in line] for line in pairs]
    return [[values | {"total": sum(values.values())} for values in line] for line in found]


def _torch_values(name: str, stated: Problem, device: str) -> Callable[[Arrays], dict[str, float]]:
    cast: dict = {"dtype": torch.float64, "device": device}
    batch = {key: _tensor(value, **cast) for key, value in stated.batch.items()}
    losses = import_module(f"torch_impl.models.{name}").losses(batch)

    def values(params: Arrays) -> dict[str, float]:
        with torch.no_grad():
            return {k: float(v) for k, v in losses({p: torch.tensor(x, **cast) for p, x in params.items()}).items()}

    return values


def _jax_values(name: str, stated: Problem, device: str) -> Callable[[Arrays], dict[str, float]]:
    model = import_module(f"jax_impl.models.{name}")
    program = jax.jit(lambda batch, params: model.losses(batch)(params))

    def values(params: Arrays) -> dict[str, float]:
        with jax_scope("float64", device):
            given = _jax(stated.batch, "float64"), _jax(to_flax(params, stated.layout), "float64")
            return {name: float(value) for name, value in program(*given).items()}

    return values
