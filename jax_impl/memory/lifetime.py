"""When a pullback lets go: each function takes one claim to pieces and returns the figures, in bytes unless named."""

import warnings

import jax
import jax.numpy as jnp

from jax_impl.memory.accumulation import into
from jax_impl.memory.held import held
from jax_impl.memory.phases import compiled_vjp
from jax_impl.models.losses import Batch, Losses, Params

_pull = jax.jit(lambda pullback, cotangents: pullback(cotangents))
_last_pull = jax.jit(lambda pullback, cotangents: pullback(cotangents), donate_argnums=0)


def retaining(losses: Losses, params: Params, batch: Batch) -> dict[str, int]:
    """A pull uses nothing up: the bytes stay the forward's until the pullback is dropped, with no flag to say so."""
    values, pullback = compiled_vjp(losses, params)
    ledger = held(pullback, batch)
    figures = {"forward": ledger.bytes}
    ones = jax.tree.map(jnp.ones_like, values)
    for _ in range(2):
        jax.block_until_ready(_pull(pullback, ones))
    figures["pulled twice"] = ledger.bytes
    del pullback
    return figures | {"dropped": ledger.bytes}


def left_behind(losses: Losses, params: Params, batch: Batch) -> dict[str, int]:
    """The last pull frees nothing either: each head's residuals go with its own pullback, the trunk's with the trunk's.

    `private` is what the pullbacks of all heads but the last keep.
    """
    z, trunk = compiled_vjp(losses.trunk, params)
    heads = {name: compiled_vjp(head, params, z) for name, head in losses.heads.items()}
    ledgers = {name: held(pullback, batch) for name, (_, pullback) in heads.items()} | {"trunk": held(trunk, batch)}

    def total() -> int:
        return sum(ledger.bytes for ledger in ledgers.values())

    *earlier, last = heads
    figures = {"forward": total(), "private": sum(ledgers[name].bytes for name in earlier)}
    for value, pullback in heads.values():
        _, dz = _pull(pullback, jnp.ones_like(value))
        jax.block_until_ready(_pull(trunk, dz))
    figures["left"] = total()
    del heads[last], pullback
    figures["last head dropped"] = total()
    heads.clear()
    figures["heads dropped"] = total()
    del trunk
    return figures | {"dropped": total()}


def path_only(n: int = 1024) -> dict[str, int]:
    """A pull frees no path: `jax.vjp` of `a` alone keeps the path to `a`, of both the paths to both, pulled or not."""

    def loss(a, b):
        return jnp.exp(a).sum() + jnp.exp(b).sum()

    a, b = jnp.zeros(n), jnp.zeros(n)
    _, both = compiled_vjp(loss, a, b)
    ledger = held(both)
    figures = {"forward": ledger.bytes}
    jax.block_until_ready(_pull(both, jnp.ones(())))
    figures["pulled"] = ledger.bytes
    _, alone = compiled_vjp(lambda a: loss(a, b), a)
    return figures | {"a alone": held(alone, b).bytes}


def failed_second_backward() -> dict[str, int]:
    """A pull that fails may already have changed the references: run operation by operation, it is `.grad` again.

    A second pull does not fail by itself: here the residual of `a` has been deleted. The figures are what it adds to
    b's three gradients.
    """

    def added(b_last: bool) -> int:
        def loss(a, b):
            return jnp.exp(a).sum() + b.sum() if b_last else b.sum() + jnp.exp(a).sum()

        refs = jax.new_ref(jnp.zeros(3)), jax.new_ref(jnp.zeros(3))
        _, pullback = jax.vjp(loss, jnp.zeros(3), jnp.zeros(3))
        pull = into(pullback, *refs)
        pull(jnp.ones(()))
        before = refs[1][...].sum().item()
        for residual in pullback.opaque_residuals:
            residual.delete()
        try:
            pull(jnp.ones(()))
        except RuntimeError:
            return round(refs[1][...].sum().item() - before)
        raise AssertionError("the pull did not fail")

    return {"a + b": added(True), "b + a": added(False)}


def last_reference(losses: Losses, params: Params, batch: Batch) -> dict[str, int]:
    """Residuals live exactly as long as the pullback: not the losses' values, only its last reference matters."""
    values, pullback = compiled_vjp(losses, params)
    ledger = held(pullback, batch)
    figures = {"forward": ledger.bytes}
    del values
    figures["values dropped"] = ledger.bytes
    other = pullback
    del pullback
    figures["one reference"] = ledger.bytes
    del other
    return figures | {"dropped": ledger.bytes}


def donation(losses: Losses, params: Params, batch: Batch) -> dict[str, int]:
    """Donation is not `retain_graph=False`: it takes only buffers that an output can take over, and leaves the rest.

    A gradient has a weight's shape, so the pullback's copies of weights go and the activations stay; and with one
    array gone the pullback is of no more use. `del pullback` is what frees.
    """
    values, pullback = compiled_vjp(losses, params)
    ledger = held(pullback, batch)
    figures = {"activations": ledger.bytes, "weights": ledger.kept["parameter"]}
    ones = jax.tree.map(jnp.ones_like, values)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # "Some donated buffers were not usable"
        jax.block_until_ready(_last_pull(pullback, ones))
    figures |= {"activations donated": ledger.bytes, "weights donated": ledger.kept["parameter"], "fails": 0}
    try:
        pullback(ones)
    except RuntimeError as error:
        figures["fails"] = int("deleted" in str(error))
    del pullback
    return figures | {"dropped": ledger.bytes}
