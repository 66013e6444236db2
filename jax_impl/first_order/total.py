"""The gradient of the sum of K losses."""

import jax
import jax.numpy as jnp

from jax_impl.first_order.tree import add
from jax_impl.models.losses import Losses, Params


def summed(losses: Losses, params: Params) -> dict[str, Params]:
    """One `grad` of the sum visits the trunk once, however many losses there are.

    The K heads' cotangents meet at the features and go through the trunk as one. The sum is taken inside the
    differentiated function: a sum of K `grad`s would go through the trunk K times.
    """
    return {"total": jax.grad(lambda p: sum(losses(p).values()))(params)}


def summed_checkpointed(losses: Losses, params: Params) -> dict[str, Params]:
    """The trunk keeps no activation: it runs a second time, inside the backward.

    `jax.checkpoint` keeps the trunk's inputs as residuals and recomputes the rest when the cotangent arrives. So it is
    asked of XLA, whose backend for the CPU takes it back inside one `jit`: see `memory.checkpoint.in_one_program`.
    """

    def total(p: Params):
        z = jax.checkpoint(losses.trunk)(p)
        return sum(head(p, z) for head in losses.heads.values())

    return {"total": jax.grad(total)(params)}


def summed_split(losses: Losses, params: Params) -> dict[str, Params]:
    """Only one head is alive at a time: each is differentiated at the features, then the trunk once.

    Their cotangents add up in one array of the features' size, so the peak holds the largest head and not all K.
    """
    z, pullback = jax.vjp(losses.trunk, params)
    direct, dz = jax.tree.map(jnp.zeros_like, (params, z))
    for head in losses.heads.values():
        dparams, dfeature = jax.grad(head, (0, 1))(params, z)
        direct, dz = add(direct, dparams), add(dz, dfeature)
    (through,) = pullback(dz)
    return {"total": add(direct, through)}


def accumulated(losses: Losses, params: Params) -> dict[str, Params]:
    """Each pull adds into mutable references, in place: K pulls leave the gradient of the sum.

    `with_refs` is the counterpart of `.grad`, made explicit: the references begin at zero here and are read at the end.
    """
    refs = jax.tree.map(lambda p: jax.new_ref(jnp.zeros_like(p)), params)
    z, pullback = jax.vjp(losses.trunk, params)
    for head in losses.heads.values():
        value, head_pullback = jax.vjp(head, params, z)
        features = jax.tree.map(lambda _: jax.ad.GradValue(), z)
        _, dz = head_pullback.with_refs(refs, features)(jnp.ones((), value.dtype))
        pullback.with_refs(refs)(dz)
    return {"total": jax.tree.map(lambda ref: ref[...], refs)}
