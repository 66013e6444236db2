"""The project's own strategies on a reader's plain functions: each must give what one gradient at a time gives."""

from collections.abc import Mapping

from comparisons.difference import Difference, difference
from comparisons.layout import Arrays
from comparisons.testing.sides import Side
from comparisons.usage import BadInput, known

PLAIN = ("summed", "per_loss_one_hot", "per_loss_batched", "per_loss_chunked", "per_loss_functional")


def accepted(strategies: tuple[str, ...], given) -> None:
    known("`strategies`", strategies, PLAIN)
    if strategies and not isinstance(given, Mapping):
        raise BadInput("`strategies` needs functions of {name: array}: pass the parameters and the layout, not a port")


def taken(names: tuple[str, ...], sides: Mapping[str, Side], params: Arrays, reference: Mapping) -> dict:
    """{"strategy in side": its difference to `reference`, the gradients one at a time}."""
    if not names:
        return {}
    from comparisons.gradients import implied
    from comparisons.scenarios import STRATEGIES

    found: dict[str, Difference] = {}
    for name in names:
        expected = implied(reference, STRATEGIES[name].gives, params)
        for side, take in (("torch", _in_torch), ("jax", _in_jax)):
            grads = sides[side].mapped(take(name, sides[side], params))
            found[f"{name} in {side}"] = difference(grads, expected, names=(f"{name} in {side}", "per loss"))
    return found


def _in_torch(name: str, side: Side, params: Arrays) -> dict:
    import torch

    import torch_impl.first_order
    from comparisons.testing.torch_side import _numpy

    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in params.items()}
    batch = side.options["batch"]
    given = () if batch is None else ({key: torch.tensor(value) for key, value in batch.items()},)
    return _numpy(getattr(torch_impl.first_order, name)(lambda p: side.losses(p, *given), leaves))


def _in_jax(name: str, side: Side, params: Arrays) -> dict:
    import jax

    import jax_impl.first_order
    from comparisons.testing.jax_side import _cast, _numpy

    with jax.enable_x64(True):
        batch = side.options["batch"]
        given = () if batch is None else (_cast(batch, "float64"),)
        run = jax.jit(lambda p: getattr(jax_impl.first_order, name)(lambda q: side.losses(q, *given), p))
        return _numpy(run(_cast(side.to(params), "float64")))
