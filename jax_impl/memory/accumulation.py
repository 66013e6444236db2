"""What it costs to add gradients up: references in place, and a gradient that lives through the step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jax_impl.first_order import accumulated, per_loss_retained, summed
from jax_impl.memory.peak import peak
from jax_impl.models.losses import Batch, Losses, Params


def accumulates(n: int = 1024) -> dict[str, int]:
    """`with_refs` adds into mutable references: what `backward` does to `.grad`, here of n ones each time.

    The pull returns no array.
    """
    _, pullback = jax.vjp(jnp.sum, jnp.zeros(n))
    ref = jax.new_ref(jnp.zeros(n))
    pull = into(pullback, ref)
    figures = {}
    for name in ("one", "two"):
        returned = [leaf for leaf in jax.tree.leaves(pull(jnp.ones(()))) if isinstance(leaf, jax.Array)]
        figures[name] = round(ref[...].sum().item())
    return figures | {"returned": len(returned)}


def into(pullback: Callable, *refs: Any) -> Callable:
    """The pull that adds into `refs`. NotImplementedError on a JAX whose pullbacks have no `with_refs`."""
    if not hasattr(pullback, "with_refs"):
        raise NotImplementedError(f"the pullbacks of jax {jax.__version__} have no `with_refs`")
    return pullback.with_refs(*refs)


def accumulation(losses: Callable[[Batch], Losses], params: Params, batch: Batch) -> dict[str, int]:
    """References add up in place: one gradient leaves the program, where K results are K gradients.

    The figures are the planned outputs; beside its arrays a program returns a table of pointers to them.
    """
    figures = {}
    for strategy in (accumulated, per_loss_retained):
        plan = peak(lambda params, batch: strategy(losses(batch), params), params, batch)
        figures[strategy.__name__] = plan.output
    return figures | {"one gradient": sum(p.nbytes for p in params.values())}


def zero_grad_policy(losses: Callable[[Batch], Losses], params: Params, batch: Batch) -> dict[str, int]:
    """Nothing lives between steps unless it is passed: a gradient to add to is an argument, and costs its own bytes.

    The figures are planned peaks: without it (`none`), with zeros passed in, and with zeros donated to the result.
    """

    def none(params, batch):
        return summed(losses(batch), params)["total"]

    def zeros(gradient, params, batch):
        return jax.tree.map(jnp.add, gradient, none(params, batch))

    gradient = jax.tree.map(jnp.zeros_like, params)
    return {
        "none": peak(none, params, batch).peak,
        "zeros": peak(zeros, gradient, params, batch).peak,
        "donated": peak(jax.jit(zeros, donate_argnums=0), gradient, params, batch).peak,
        "one gradient": sum(p.nbytes for p in params.values()),
    }
