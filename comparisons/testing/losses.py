"""Given two functions of the same parameters: the same losses and gradients, or an error that says which is wrong."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from comparisons.difference import TOLERANCE, Difference, difference, same_names
from comparisons.layout import Arrays, Layout, compared, from_flax, to_flax
from comparisons.testing.arrays import flat
from comparisons.testing.gradients import GradientMismatch
from comparisons.testing.scalars import finite
from comparisons.usage import BadInput, known

NAMES = ("jax", "torch")
DIRECTIONS = (17, 18)


class Value(NamedTuple):
    """One loss's value on both sides; `scale` is its size, or that of the largest parameter times gradient."""

    loss: str
    jax: float
    torch: float
    scale: float

    @property
    def relative_error(self) -> float:
        return abs(self.jax - self.torch) / self.scale if self.scale else float(self.jax != self.torch)

    def __str__(self) -> str:
        error = f"{self.relative_error:.2e} of {self.scale:.2e}"
        return f"  {self.loss}: jax {self.jax:.12e}, torch {self.torch:.12e}, {error}"


class Agreement(NamedTuple):
    """What was found equal in float64, and how far each side's float32 gradient is from the float64 one.

    `products` holds one difference for each direction of order 2, `strategies` one for each strategy and side.
    `float32` maps a side to its difference, or to the reason why it was not measured.
    """

    values: tuple[Value, ...]
    gradients: Difference
    products: tuple[Difference, ...]
    strategies: Mapping[str, Difference]
    float32: Mapping[str, Difference | str]

    def __str__(self) -> str:
        worst = max((pair.relative_error for pair in self.gradients.pairs), default=0.0)
        lines = [f"{self.gradients}", f"  {len(self.values)} losses equal; worst gradient {worst:.1e} of leaf scale"]
        for found in (*self.products, *self.strategies.values()):
            lines.append(f"  {found}")
        return "\n".join([*lines, *_precision(self.float32)])


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
    project's `strategies` that a plain function allows. Where gradients differ, each side's own finite differences say
    which one is not the derivative of its loss. `float32` is measured against float64 and never fails.
    """
    if order not in (1, 2):
        raise BadInput(f"`order` must be 1 or 2 (got {order!r})")
    torch_side, jax_side, params, layout = _sides(torch_losses, jax_losses, torch_params, layout, batch)
    strategies = tuple(strategies)
    _known_strategies(strategies, torch_params)
    flax = to_flax(params, layout) if layout is not None else params

    def back(grads: Mapping) -> dict:
        return {loss: from_flax(grad, layout) if layout is not None else grad for loss, grad in grads.items()}

    def kept(grads: Mapping) -> dict:
        return {loss: compared(grad, layout) if layout is not None else grad for loss, grad in grads.items()}

    torch_values, torch_grads = torch_side.gradients(params, "float64")
    jax_values, jax_grads = jax_side.gradients(flax, "float64")
    same_names("losses", jax_values, torch_values, NAMES)
    finite({"jax": jax_values, "torch": torch_values})
    actual, expected = back(jax_grads), kept(torch_grads)
    found = difference(actual, expected, tolerance, NAMES)
    values = tuple(_value(loss, jax_values, torch_values, params, expected[loss]) for loss in torch_values)
    wrong = [value for value in values if value.relative_error > tolerance]
    if wrong or found.unequal:
        raise GradientMismatch(
            found, _forward(wrong, len(values)), _blame(found, params, actual, expected, torch_side, jax_side, layout)
        )
    single = {}
    for side, take, given, mapped in (
        (("jax", jax_side, flax, back), ("torch", torch_side, params, kept)) if float32 else ()
    ):
        single[side] = _single(partial(take.gradients, given, "float32"), mapped, expected, side)
    products = []
    for seed in DIRECTIONS if order == 2 else ():
        along = _direction(params, seed)
        rows = back(jax_side.products(flax, to_flax(along, layout) if layout is not None else along))
        products.append(difference(rows, kept(torch_side.products(params, along)), tolerance, NAMES, order=2))
        if products[-1].unequal:
            raise GradientMismatch(products[-1], "losses and gradients agree; the second derivatives do not")
    taken = _strategies(strategies, torch_losses, jax_losses, params, flax, back, kept, expected, batch)
    for name, apart in taken.items():
        if apart.unequal:
            raise GradientMismatch(apart, f"losses and gradients agree; those of strategy {name} do not")
    return Agreement(values, found, tuple(products), taken, single)


class _Side(NamedTuple):
    gradients: Callable
    products: Callable
    values: Callable


def _sides(torch_losses, jax_losses, given, layout, batch) -> tuple[_Side, _Side, Arrays, Layout | None]:
    from comparisons.testing import jax_side, torch_side

    module = build = None
    if hasattr(given, "build") and hasattr(given, "module"):  # what `port` returned
        module, build, layout, params = given.module, given.build, given.layout, given.params
    elif isinstance(given, Mapping):
        params = flat(given)
    else:
        raise BadInput(f"`torch_params` is a {type(given).__name__}: pass {{name: array}}, or what `port` returned")
    if not params:
        raise BadInput("`torch_params` is empty, so there is nothing to differentiate")
    for name, array in params.items():
        if array is None or not np.isfinite(array).all():
            raise BadInput(f"`torch_params` has {'None' if array is None else 'NaN or infinity'} in {name!r}")
    wide = {name: array.astype(complex if np.iscomplexobj(array) else float) for name, array in params.items()}
    batch = None if batch is None else {name: np.asarray(value) for name, value in batch.items()}
    there, here = {"batch": batch, "build": build}, {"batch": batch, "module": module}
    return (
        _Side(
            partial(torch_side.gradients, torch_losses, **here),
            partial(torch_side.products, torch_losses, **here),
            lambda points: [torch_side.values(torch_losses, point, "float64", **here) for point in points],
        ),
        _Side(
            partial(jax_side.gradients, jax_losses, **there),
            partial(jax_side.products, jax_losses, **there),
            lambda points: list(jax_side.each_value(jax_losses, points, "float64", **there)),
        ),
        wide,
        layout,
    )


def _value(loss: str, jax: Mapping, torch: Mapping, params: Arrays, grads: Arrays) -> Value:
    """A loss that cancels to nearly 0 is still judged on the size of what cancelled."""
    reach = [abs(params[name]).max(initial=0) * abs(g).max(initial=0) for name, g in grads.items() if g is not None]
    return Value(loss, jax[loss], torch[loss], max(abs(torch[loss]), *reach, 0.0))


def _forward(wrong: list[Value], count: int) -> str:
    if not wrong:
        return "loss values agree; their gradients do not"
    head = f"loss values differ in {len(wrong)} of {count}: the two compute different functions, before any gradient"
    return "\n".join([head, *map(str, wrong)])


def _blame(found: Difference, params, actual, expected, torch_side: _Side, jax_side: _Side, layout) -> str:
    from comparisons.testing.slopes import slopes

    def jax_values(points: list[Arrays]) -> list[dict]:
        return jax_side.values([to_flax(p, layout) if layout is not None else p for p in points])

    lines = []
    worst = list(dict.fromkeys(pair.loss for pair in found.unequal))[:3]
    for loss in worst:
        sides = {"jax": jax_values, "torch": torch_side.values}
        verdicts = slopes(loss, params, {"jax": actual[loss], "torch": expected[loss]}, sides)
        lines += [str(verdict) for verdict in verdicts]
        wrong = [verdict.side for verdict in verdicts if verdict.right is False]
        if len(wrong) == 1:
            lines.append(f"-> fix {wrong[0]}: a detach, a stop_gradient or a custom derivative cuts {loss!r} there")
        elif verdicts and all(verdict.right for verdict in verdicts):
            lines.append(f"-> each side differentiates its own {loss!r} rightly: the two functions differ")
    return "\n".join(lines)


def _single(take: Callable, mapped: Callable, expected: Mapping, side: str) -> Difference | str:
    """A float32 run is information: where the reader's function has no float32 form, the reason stands instead."""
    try:
        _, grads = take()
    except Exception as error:
        return f"not measured ({type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]})"
    return difference(mapped(grads), expected, np.inf, (f"{side} float32", "float64"))


def _precision(single: Mapping[str, Difference | str]) -> list[str]:
    lines = []
    for side, found in single.items():
        if isinstance(found, str):
            lines.append(f"  float32 in {side}: {found}")
        else:
            worst = found.pairs[0]
            eps = worst.relative_error / float(np.finfo(np.float32).eps)
            lines.append(
                f"  float32 in {side}: worst {eps:.1f} eps at leaf scale, d {worst.loss} / d {worst.parameter}"
            )
    return lines


def _direction(params: Arrays, seed: int) -> Arrays:
    if any(np.iscomplexobj(p) for p in params.values()):
        raise BadInput(
            "`order=2` takes real parameters: the second derivative by a complex one has no single convention"
        )
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(p.shape) * (np.sqrt(np.mean(p**2)) or 1.0) for name, p in params.items()}


def _known_strategies(strategies: tuple[str, ...], given) -> None:
    from comparisons.scenarios import STRATEGIES

    plain = ("per_loss_one_hot", "per_loss_batched", "per_loss_chunked", "per_loss_functional", "summed")
    known("`strategies`", strategies, [name for name in STRATEGIES if name in plain])
    if strategies and not isinstance(given, Mapping):
        raise BadInput("`strategies` needs functions of {name: array}: pass the parameters and the layout, not a port")


def _strategies(names, torch_losses, jax_losses, params, flax, back, kept, reference, batch) -> dict[str, Difference]:
    if not names:
        return {}
    import jax
    import torch

    import jax_impl.first_order
    import torch_impl.first_order
    from comparisons.gradients import implied
    from comparisons.scenarios import STRATEGIES
    from comparisons.testing import jax_side, torch_side

    extra = () if batch is None else (batch,)
    taken = {}
    for name in names:
        expected = implied(reference, STRATEGIES[name].gives, params)
        leaves = {key: torch.tensor(value, requires_grad=True) for key, value in params.items()}
        tensors = [{key: torch.tensor(value) for key, value in one.items()} for one in extra]
        grads = getattr(torch_impl.first_order, name)(lambda p: torch_losses(p, *tensors), leaves)
        taken[f"{name} in torch"] = difference(
            kept(torch_side._numpy(grads)), expected, names=(f"{name} in torch", "per loss")
        )
        with jax.enable_x64(True):
            arrays = [jax_side._cast(one, "float64") for one in extra]
            run = jax.jit(lambda p: getattr(jax_impl.first_order, name)(lambda q: jax_losses(q, *arrays), p))
            grads = run(jax_side._cast(flax, "float64"))
        taken[f"{name} in jax"] = difference(
            back(jax_side._numpy(grads)), expected, names=(f"{name} in jax", "per loss")
        )
    return taken
