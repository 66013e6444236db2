"""The K x K inner products of K losses' gradients: all that gradient surgery reads, without the gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, autograd

from torch_impl.first_order.tree import grad, head_grads, reached
from torch_impl.models.losses import Losses, Params


def gram(losses: Losses, params: Params) -> Tensor:
    """`gramian` of the K gradients, (K, K), and of the trunk's gradients one parameter's at a time is alive.

    The heads go first, in one backward. Then all K cotangents go through the trunk as one batch, and a hook on each
    parameter turns its K gradients into products as soon as they are there.
    """
    z = losses.trunk(params)
    direct, dz = head_grads(losses.heads, params, z)
    products, shared = dz.new_zeros(len(dz), len(dz)), reached(z, params)
    touching: dict[str, dict[int, Tensor]] = {name: {} for name in params}
    for k, grads in enumerate(direct.values()):
        for name, g in grads.items():
            touching[name][k] = g
    for name, own in touching.items():
        if own and name not in shared:
            rows, at = torch.stack(list(own.values())).flatten(1), torch.tensor(list(own), device=dz.device)
            products.index_put_((at[:, None], at), rows @ rows.T, accumulate=True)

    def multiply(name: str, rows: Tensor) -> Tensor:
        for k, g in touching[name].items():
            rows = rows.index_add(0, torch.tensor([k], device=rows.device), g[None])
        products.addmm_(rows.flatten(1), rows.flatten(1).T)
        return products.new_zeros(()).expand_as(rows)

    cotangents = [dz]
    del dz, direct
    hooks = [z.register_hook(lambda row: _Rows.apply(lambda _: cotangents.pop(), row))]
    for name, p in shared.items():
        hooks.append(p.register_hook(lambda row, name=name: _Rows.apply(lambda rows: multiply(name, rows), row)))
    try:
        torch.func.vmap(lambda zero: grad(z, shared, zero.expand_as(z)))(products.new_zeros(len(products)))
    finally:
        for hook in hooks:
            hook.remove()
    return products


class _Rows(autograd.Function):
    """A hook inside `vmap` sees one row. This gives all K rows to `function`, and what it returns back to the hook."""

    @staticmethod
    def forward(function: Callable[[Tensor], Tensor], row: Tensor) -> Tensor:
        return function(row[None])[0]

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def vmap(info, in_dims, function: Callable[[Tensor], Tensor], rows: Tensor) -> tuple[Tensor, int]:
        return function(rows.movedim(in_dims[1], 0)), 0
