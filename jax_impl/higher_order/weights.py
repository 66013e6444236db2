"""GradNorm: loss weights that bring the K gradient norms to one level, by descent on their imbalance."""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.higher_order.penalty import safe_root
from jax_impl.higher_order.tree import checked, floating
from jax_impl.models.losses import Losses, Params


def grad_norm(
    losses: Losses, params: Params, weights: dict[str, Array], initial: dict[str, Array], shared: Iterable[str]
) -> dict[str, Array]:
    """The imbalance's gradient for the weights, by differentiating norms of gradients: `grad` inside `grad`, K times.

    Imbalance: sum over losses of | |grad (weight loss)| - mean norm x rate^1.5 |, norms over the `shared` parameters,
    rate the loss over its `initial` value relative to the others'. `weights` are scalars.
    """
    leaves, scalars = _shared(params, shared), _scalars(losses, params, weights, initial)

    def norms(w: dict[str, Array]) -> dict[str, Array]:
        values, pullback = jax.vjp(lambda shared: {n: w[n] * v for n, v in scalars(params | shared).items()}, leaves)
        return {name: _norm(*pullback(_one_hot(values, name))) for name in values}

    return jax.grad(lambda w: _imbalance(norms(w), scalars(params), initial))(weights)


def grad_norm_detached(
    losses: Losses, params: Params, weights: dict[str, Array], initial: dict[str, Array], shared: Iterable[str]
) -> dict[str, Array]:
    """The same numbers with no nesting: a positive weight comes out of the norm.

    |grad (weight loss)| = weight |grad loss|, and the norm of the bare loss is a constant to the weights.
    """
    leaves, scalars = _shared(params, shared), _scalars(losses, params, weights, initial)
    values, pullback = jax.vjp(lambda shared: scalars(params | shared), leaves)
    norms = {name: _norm(*pullback(_one_hot(values, name))) for name in values}
    return jax.grad(lambda w: _imbalance({n: w[n] * norm for n, norm in norms.items()}, values, initial))(weights)


def _scalars(losses: Losses, params: Params, weights: dict[str, Array], initial) -> Callable:
    scalars = checked(losses, params)
    names = jax.eval_shape(scalars, params)
    _positive("initial", initial, names)
    _positive("weights", weights, names)
    for name in names:
        floating(f"weights[{name!r}]", weights[name])
    return scalars


def _positive(argument: str, given, names: Iterable[str]) -> None:
    """A positive scalar for each loss; inside `jit` a sign is not known."""
    for name in names:
        if name not in given:
            raise ValueError(f"`{argument}` has nothing for loss {name!r} (it has {', '.join(given)})")
        value = given[name]
        if not isinstance(value, jax.core.Tracer) and not value > 0:
            raise ValueError(f"`{argument}[{name!r}]` must be positive (got {value:g})")


def _shared(params: Params, shared: Iterable[str]) -> Params:
    """The parameters whose gradients are balanced."""
    chosen = list(shared)
    missing = [name for name in chosen if name not in params]
    if missing or not chosen:
        given = f"{missing[0]!r}, which is not in `params`" if missing else "none"
        raise ValueError(f"`shared` must name some of the parameters (got {given})")
    return {name: params[name] for name in chosen}


def _norm(gradient: Params) -> Array:
    return safe_root(sum(jnp.square(g).sum() for g in gradient.values()))


def _one_hot(values: dict[str, Array], chosen: str) -> dict[str, Array]:
    return {name: jnp.ones_like(v) if name == chosen else jnp.zeros_like(v) for name, v in values.items()}


def _imbalance(norms: dict[str, Array], values: dict[str, Array], initial: dict[str, Array]) -> Array:
    _positive("losses", values, norms)
    rates = jnp.stack([values[name] / initial[name] for name in norms])
    found = jnp.stack(list(norms.values()))
    target = found.mean() * (rates / rates.mean()) ** 1.5
    return jnp.abs(found - jax.lax.stop_gradient(target)).sum()
