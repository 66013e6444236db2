"""The Hessian itself, for few parameters, and its diagonal."""

import torch
from torch import Tensor

from torch_impl.first_order.tree import constants
from torch_impl.higher_order.composed import composed
from torch_impl.higher_order.products import hvp_forward_over_reverse
from torch_impl.higher_order.tree import checked, ravel
from torch_impl.models.losses import Losses, Params


def hessian(losses: Losses, params: Params) -> dict[str, dict[str, Params]]:
    """Every second derivative: block [p][q] has the shape of p followed by that of q.

    `torch.func.hessian` is forward over reverse along every unit vector at once: N products for N parameters, batched
    by `vmap`, and N^2 numbers for each loss.
    """
    scalars = checked(losses, params)
    params = constants(params)
    scalars(params)  # modules that a first call builds must not be built under `vmap`
    with composed():
        return torch.func.hessian(scalars)(params)


def hessian_diagonal(losses: Losses, params: Params, chunk: int = 128) -> dict[str, Params]:
    """N products, each of which keeps one number: there is no cheaper exact way through a network.

    `chunk` products at a time, so beside the results the peak grows with `chunk` times N.
    """
    if chunk < 1:
        raise ValueError(f"`chunk` must be at least 1 (got {chunk}): it is the number of products at a time")
    params = constants(params)
    checked(losses, params)(params)  # modules that a first call builds must not be built under `vmap`
    flat, unravel = ravel(params)

    def entries(k: Tensor) -> dict[str, Tensor]:
        products = hvp_forward_over_reverse(losses, params, unravel(torch.zeros_like(flat).scatter(0, k, 1)))
        return {name: ravel(product)[0].gather(0, k)[0] for name, product in products.items()}

    diagonals = torch.func.vmap(entries, chunk_size=chunk)(torch.arange(len(flat), device=flat.device)[:, None])
    return {name: unravel(diagonal) for name, diagonal in diagonals.items()}
