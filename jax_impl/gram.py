"""The K x K inner products of K losses' gradients: all that gradient surgery reads, without the gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.models.losses import Losses, Params


def gram(losses: Losses, params: Params) -> Array:
    """`gramian` of the K gradients, (K, K), with the trunk's gradients formed for one parameter at a time.

    The heads go first, one by one. Then all K cotangents go through the trunk as one batch. Each parameter's K
    gradients meet in one product, after which nothing reads them: inside a `jit`, XLA gives their memory to the next.
    """
    z, pullback = jax.vjp(losses.trunk, params)
    grads = [jax.grad(head, (0, 1))(params, z) for head in losses.heads.values()]
    (through,) = jax.vmap(pullback)(jax.tree.map(lambda *rows: jnp.stack(rows), *(dz for _, dz in grads)))
    read, shared = [_read(head, params, z) for head in losses.heads.values()], _read(losses.trunk, params)
    products = jnp.zeros((len(grads), len(grads)), jnp.result_type(*through.values()))
    for name in params:
        own = {k: direct[name] for k, (direct, _) in enumerate(grads) if name in read[k]}
        if name in shared:
            at, rows = jnp.arange(len(grads)), through[name]
            for k, g in own.items():
                rows = rows.at[k].add(g)
        elif own:
            at, rows = jnp.array(list(own)), jnp.stack(list(own.values()))
        else:
            continue
        rows = rows.reshape(len(at), -1)
        products = products.at[at[:, None], at].add(rows @ rows.T)
    return products


def _read(function: Callable, params: Params, *features) -> set[str]:
    """The parameters that a trace of `function` uses; the others would multiply zeros."""
    jaxpr = jax.make_jaxpr(function)(params, *features).jaxpr
    used = {id(v) for eqn in jaxpr.eqns for v in eqn.invars} | {id(v) for v in jaxpr.outvars}
    return {name for name, v in zip(sorted(params), jaxpr.invars, strict=False) if id(v) in used}
