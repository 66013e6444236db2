"""One gradient for each of K losses, a group of losses at a time."""

from torch_impl.first_order.tree import Gradient, grad, head_grads, reached, unstack
from torch_impl.models.losses import Losses, Params


def per_loss_grouped(losses: Losses, params: Params, chunk: int = 32) -> dict[str, Gradient]:
    """Two backwards for `chunk` losses: one through all their heads, then one, batched, through the trunk.

    Operators start K / chunk times instead of K, and no head is visited for another's sake. Beyond the gradients, the
    peak does not grow with K: a group's heads and cotangents are gone before the next is built.
    """
    if chunk < 1:
        raise ValueError(f"`chunk` must be at least 1 (got {chunk}): it is the number of losses in one group")
    z = losses.trunk(params)
    shared, unused = reached(z, params), dict.fromkeys(params)
    names = list(losses.heads)
    grads: dict[str, Gradient] = {}
    for k in range(0, len(names), chunk):
        group = {name: losses.heads[name] for name in names[k : k + chunk]}
        direct, dz = head_grads(group, params, z)
        through = unstack(group, grad(z, shared, dz, is_grads_batched=True, retain_graph=k + chunk < len(names)))
        for name, own in direct.items():
            both = {p: own[p] + through[name][p] for p in own if p in shared}
            grads[name] = unused | own | through[name] | both
    return grads
