"""Whose gradients one loss's infinity poisons: what others offer for one gradient a loss, on the same two losses.

a = 3 (w0 + w1), b = sqrt(w0) + sqrt(w1) at w = (0, 1): the gradient of a is [3, 3].
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import autograd

from comparisons.pitfalls.lifetimes import leaf
from comparisons.rows import Row, failed
from comparisons.testing import as_numpy
from comparisons.watch import numbers


def losses(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (3 * w).sum(), w.sqrt().sum()


def jax_losses(w: jax.Array) -> tuple[jax.Array, jax.Array]:
    return (3 * w).sum(), jnp.sqrt(w).sum()


def is_grads_batched():
    w = leaf(0.0, 1.0)
    return autograd.grad(torch.stack(losses(w)), w, torch.eye(2, dtype=w.dtype), is_grads_batched=True)[0][0]


def functional_jacobian(vectorize: bool = False):
    return autograd.functional.jacobian(lambda w: torch.stack(losses(w)), leaf(0.0, 1.0), vectorize=vectorize)[0]


def jacrev():
    return torch.func.jacrev(losses)(leaf(0.0, 1.0))[0]


def jacfwd():
    return torch.func.jacfwd(losses)(leaf(0.0, 1.0).detach())[0]


def jax_jacrev():
    return jax.jacrev(jax_losses)(jnp.array([0.0, 1.0]))[0]


def jax_jacfwd():
    return jax.jacfwd(jax_losses)(jnp.array([0.0, 1.0]))[0]


def torchjd_jac():
    from torchjd.autojac import jac

    w = leaf(0.0, 1.0)
    return jac(list(losses(w)), [w])[0][0]


def torchjd_mtl_backward():
    from torchjd.autojac import mtl_backward

    w, v = leaf(0.0, 1.0), leaf(3.0)
    z = w * 1.0
    mtl_backward([(v * z).sum(), z.sqrt().sum()], features=[z])
    return w.jac[0]


class Peer(NamedTuple):
    call: Callable
    poisoned: bool
    needs: str | None = None


PEERS = {
    "torch.autograd.grad(is_grads_batched=True)": Peer(is_grads_batched, True),
    "torch.autograd.functional.jacobian": Peer(functional_jacobian, True),
    "torch.autograd.functional.jacobian(vectorize=True)": Peer(lambda: functional_jacobian(True), True),
    "torch.func.jacrev": Peer(jacrev, True),
    "jax.jacrev": Peer(jax_jacrev, True),
    "torchjd.autojac.jac": Peer(torchjd_jac, True, "torchjd"),
    "torchjd.autojac.mtl_backward": Peer(torchjd_mtl_backward, False, "torchjd"),
    "torch.func.jacfwd": Peer(jacfwd, False),
    "jax.jacfwd": Peer(jax_jacfwd, False),
}


def rows() -> list[Row]:
    """One row a peer: the gradient of the harmless loss, and whether it is poisoned as predicted."""
    return [_row(name, peer) for name, peer in PEERS.items()]


def _row(name: str, peer: Peer) -> Row:
    outcome = {True: "poisoned", False: "clean"}
    row: Row = {"id": f"pitfalls/peer/{name}", "kind": "peer", "peer": name, "predicted": outcome[peer.poisoned]}
    row["status"] = "ok"
    if peer.needs and not find_spec(peer.needs):
        return row | {"status": "not_measured", "reason": f"{peer.needs} is not installed: pip install {peer.needs}"}
    try:
        gradient = np.asarray(as_numpy(peer.call()))
    except Exception as error:  # whatever a peer raises is its result
        return failed(row, error)
    row |= {"outcome": outcome[not np.array_equal(gradient, [3.0, 3.0])], "gradient": numbers(gradient)}
    if row["outcome"] != row["predicted"]:
        row |= {"status": "differs", "reason": f"predicted {row['predicted']}, the gradient is {row['gradient']}"}
    return row
