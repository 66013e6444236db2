"""The K x K inner products of K losses' gradients: all that gradient surgery reads, without the gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, autograd

from torch_impl.first_order.tree import behind, grad, head_grads, reached
from torch_impl.models.losses import Losses, Params


def gram(losses: Losses, params: Params) -> Tensor:
    """`gramian` of the K gradients, (K, K), with the trunk's gradients formed for one parameter at a time.

    The heads go first, in one backward. Then all K cotangents go through the trunk as one batch, and a hook on each
    parameter turns its K gradients into products as soon as they are there. A linear layer gets its cotangents
    transposed in memory: its weight's product reads them so, and would copy them beside both of its results.
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
    if not shared:
        return products

    def multiply(name: str, rows: Tensor) -> Tensor:
        for k, g in touching[name].items():
            rows = rows.index_add(0, torch.tensor([k], device=rows.device), g[None])
        flat = _in_place(rows)
        products.addmm_(flat, flat.T)
        return products.new_zeros(()).expand_as(rows)

    cotangents = [dz]
    del dz, direct
    hooks = [z.register_hook(lambda row: _Rows.apply(lambda _: cotangents.pop(), row))]
    for name, p in shared.items():
        hooks.append(p.register_hook(lambda row, name=name: _Rows.apply(lambda rows: multiply(name, rows), row)))
    for node in behind(z):
        if node.name() == "AddmmBackward0":
            hooks.append(node.register_prehook(lambda rows: tuple(_Rows.apply(_transposed, row) for row in rows)))
    try:
        torch.func.vmap(lambda zero: grad(z, shared, zero.expand_as(z)))(products.new_zeros(len(products)))
    finally:
        for hook in hooks:
            hook.remove()
    return products


def _in_place(rows: Tensor) -> Tensor:
    """Each row's elements in the order in which memory has them, (K, n): for inner products any order will do.

    A weight's gradients arrive as transposed views, which `flatten` would copy.
    """
    order = sorted(range(1, rows.dim()), key=rows.stride, reverse=True)
    return rows.permute(0, *order).flatten(1)


def _transposed(rows: Tensor) -> Tensor:
    """The same values, each row's columns one after the other in memory."""
    return rows.mT.contiguous().mT


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
