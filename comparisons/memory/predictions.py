"""`many_heads` in closed form: the bytes that each framework holds, from the sizes alone."""

from importlib.metadata import version
from typing import NamedTuple


class Sizes(NamedTuple):
    batch: int
    width: int
    depth: int
    losses: int
    hidden: int = 0


# What JAX's tanh keeps of its own: it and one minus it; from 0.11.2 on one minus its square alone.
JAX = tuple(map(int, version("jax").split(".")[:3]))
TANH_IN_JAX = 1 if JAX >= (0, 11, 2) else 2
WHOLE = ("summed", "accumulated", "per_loss_retained", "per_loss_one_hot", "per_loss_batched", "per_loss_chunked")
PULLED_WHOLE = ("per_loss_one_hot", "per_loss_batched", "per_loss_chunked")
PULLED_TRUNK = ("summed_split", "accumulated", "per_loss_retained", "per_loss_split", "per_loss_grouped")


def held(framework: str, sizes: Sizes, itemsize: int = 4) -> int:
    """What the whole graph or the whole compiled pullback holds after the forward.

    PyTorch saves one array a tanh: `depth * batch * width`, and for each head its hidden tanh and the difference that
    is squared. JAX keeps a copy of the input and two a tanh: what its derivative is made from, and what the next
    product reads.
    """
    return itemsize * (_trunk(framework, sizes) + sizes.losses * _head(framework, sizes))


def phase(framework: str, strategy: str, name: str, sizes: Sizes, itemsize: int = 4) -> int | None:
    """What a strategy holds at the phases `forward`, `last` (the last backward has ended) and `dropped`; else None.

    None also for a strategy without phases: one inside a `jit`, or inside `torch.func`.
    """
    if framework == "torch":
        found = _torch(strategy, name, sizes)
    else:
        found = _jax(strategy, name, sizes)
    return None if found is None else itemsize * found


def _torch(strategy: str, name: str, sizes: Sizes) -> int | None:
    trunk, head, features = _trunk("torch", sizes), _head("torch", sizes), sizes.batch * sizes.width
    forward = dict.fromkeys(WHOLE, trunk + sizes.losses * head)
    forward |= dict.fromkeys(("per_loss_recomputed", "per_loss_split", "summed_split"), trunk + head)
    forward |= {"summed_checkpointed": features + sizes.losses * head, "feature_gradients": features + head}
    if strategy not in forward or name not in ("forward", "last", "dropped"):
        return None
    if name == "forward":
        return forward[strategy]
    visited_apart = strategy in ("accumulated", "per_loss_retained") and sizes.losses > 1
    return features + (sizes.losses - 1) * head if name == "last" and visited_apart else 0


def _jax(strategy: str, name: str, sizes: Sizes) -> int | None:
    trunk, head = _trunk("jax", sizes), _head("jax", sizes)
    unread = (2 - TANH_IN_JAX) * sizes.batch * sizes.width  # the features: no product of the trunk reads them
    forward = dict.fromkeys(PULLED_WHOLE, trunk + sizes.losses * head) | dict.fromkeys(PULLED_TRUNK, trunk - unread)
    forward["accumulated"] += head
    if strategy not in forward or name not in ("forward", "last", "dropped"):
        return None
    return 0 if name == "dropped" else forward[strategy]


def _trunk(framework: str, sizes: Sizes) -> int:
    one = sizes.batch * sizes.width
    return sizes.depth * one if framework == "torch" else 2 * sizes.depth * one + one


def _head(framework: str, sizes: Sizes) -> int:
    arrays = 1 if framework == "torch" else 2
    return sizes.batch + arrays * sizes.batch * sizes.hidden
