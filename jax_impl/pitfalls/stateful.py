"""Losses that draw random numbers or keep state: what a trunk does a second time need not be what it did first.

State lives in the batch as mutable references (`jax.new_ref`): `updates` counts how often the trunk ran. Randomness
lives there as a key, or as an iterator of keys, which is a side effect that JAX's transformations do not see.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jax_impl.models.losses import Batch, Losses, Params

HEADS = 4


def _four_heads(trunk, batch: Batch) -> Losses:
    """Four losses, each a weighting of the squared features."""

    def head(k: int):
        return lambda p, z: (batch["targets"][k] * z**2).sum()

    return Losses(trunk, {f"loss{k}": head(k) for k in range(HEADS)})


def _dropped(z: Array, key: Array) -> Array:
    return jnp.where(jax.random.bernoulli(key, 0.5, z.shape), 2 * z, 0)


def dropout(batch: Batch) -> Losses:
    """The key comes from an iterator: every trace of the trunk takes another."""
    return _four_heads(lambda p: _dropped(batch["x"] @ p["w"], next(batch["keys"])), batch)


def dropout_keyed(batch: Batch) -> Losses:
    """The key is a value, an argument like the batch: every run draws the same mask."""
    return _four_heads(lambda p: _dropped(batch["x"] @ p["w"], batch["key"]), batch)


def dropout_rerun(batch: Batch) -> Losses:
    """The trunk is checkpointed: its recomputation has the key among its residuals and draws the same mask."""
    return _four_heads(jax.checkpoint(dropout(batch).trunk), batch)


def dropout_forgot(batch: Batch) -> Losses:
    """There is no generator state to forget: a recomputation is of the traced function, key and all."""
    return dropout_rerun(batch)


def batch_norm(batch: Batch) -> Losses:
    """Batch statistics normalise, and move the running mean: once for each run of the trunk."""

    def trunk(p: Params) -> Array:
        z = batch["x"] @ p["w"]
        batch["running"][...] = 0.9 * batch["running"][...] + 0.1 * jax.lax.stop_gradient(z.mean(0))
        batch["updates"][...] += 1
        return (z - z.mean(0)) / z.std(0)

    return _four_heads(trunk, batch)


def batch_norm_rerun(batch: Batch) -> Losses:
    """A checkpointed trunk runs again in every pull, and so does the update of its statistics."""
    return _four_heads(jax.checkpoint(batch_norm(batch).trunk), batch)


def power_iteration(batch: Batch) -> Losses:
    """Spectral normalisation: each run of the trunk improves its estimate, so a second run is another function."""

    def trunk(p: Params) -> Array:
        w = jax.lax.stop_gradient(p["w"])
        v = w.T @ (w @ batch["running"][...])
        batch["running"][...] = v / jnp.linalg.norm(v)
        batch["updates"][...] += 1
        return batch["x"] @ p["w"] / jnp.linalg.norm(p["w"] @ batch["running"][...])

    return _four_heads(trunk, batch)
