"""Losses whose second or third derivative PyTorch refuses, or gets wrong; beside each the form that works."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, autograd
from torch.nn.attention import SDPBackend, sdpa_kernel

from torch_impl.higher_order.composed import composed
from torch_impl.models.recurrent import own_kernels

Loss = Callable[[Tensor], Tensor]


class Limit(NamedTuple):
    """A scalar loss of x (4, 6), the same loss in a form that every mode differentiates, and how it was made."""

    loss: Loss
    remedy: Loss
    recipe: str


def forward_over_reverse(loss: Loss, x: Tensor, v: Tensor) -> Tensor:
    return torch.func.jvp(torch.func.grad(loss), (x,), (v,))[1]


def reverse_over_forward(loss: Loss, x: Tensor, v: Tensor) -> Tensor:
    return torch.func.grad(lambda x: torch.func.jvp(loss, (x,), (v,))[1])(x)


def reverse_over_reverse(loss: Loss, x: Tensor, v: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    (gradient,) = autograd.grad(loss(x), x, create_graph=True)
    return autograd.grad(gradient, x, v)[0]


def hessian(loss: Loss, x: Tensor, v: Tensor) -> Tensor:
    """Forward over reverse again, but along every unit vector at once, under `vmap`."""
    return torch.tensordot(torch.func.hessian(loss)(x), v, 2)


def third(loss: Loss, x: Tensor, v: Tensor) -> Tensor:
    """Three backwards: a slope along v is a loss too."""
    return reverse_over_reverse(_slope(loss, v), x, v)


def third_forward(loss: Loss, x: Tensor, v: Tensor) -> Tensor:
    """The same with a tangent as the last step."""
    return forward_over_reverse(_slope(loss, v), x, v)


def _slope(loss: Loss, v: Tensor) -> Loss:
    return lambda x: (torch.func.grad(loss)(x) * v).sum()


def attention(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(*[x[None, None]] * 3).sin().sum()


def attention_by_math(x: Tensor) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return attention(x)


LSTM = torch.nn.LSTM(6, 3, device="meta")


def lstm_float32(x: Tensor) -> Tensor:
    weights = {name: torch.linspace(-1, 1, w.numel()).view(w.shape) for name, w in LSTM.named_parameters()}
    return torch.func.functional_call(LSTM, weights, (x.float(),))[0].sin().sum()


def lstm_without_mkldnn(x: Tensor) -> Tensor:
    with own_kernels():
        return lstm_float32(x)


def cdist(x: Tensor) -> Tensor:
    return torch.cdist(x, x.flip(1)).sin().sum()


def cdist_composed(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x[:, None] - x.flip(1), dim=-1).sin().sum()


PLACES = torch.arange(24).view(4, 6) % 3


def scatter_prod(x: Tensor) -> Tensor:
    """Its first tangent is 0 already."""
    return torch.ones_like(x).scatter_reduce(1, PLACES, x, "prod").sin().sum()


def scatter_by_mask(x: Tensor) -> Tensor:
    return torch.where(F.one_hot(PLACES, 6) > 0, x[..., None], 1.0).prod(1).sin().sum()


class Cube(autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return cotangent * 3 * x**2


class CubeWithTangent(Cube):
    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx, tangent: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return tangent * 3 * x**2


def spelled_out(loss: Loss) -> Limit:
    """A loss that `composed` spells out."""

    def elementary(x: Tensor) -> Tensor:
        with composed():
            return loss(x)

    return Limit(loss, elementary, "inside `composed`")


SPELLED_OUT: dict[str, Loss] = {
    "layer_norm": lambda x: F.layer_norm(x, (6,), weight=x[0]).sin().sum(),
    "batch_norm": lambda x: F.batch_norm(x, None, None, weight=x[0], training=True).sin().sum(),
    "weight_norm": lambda x: torch._weight_norm(x, x[:, :1], 0).sin().sum(),
    "glu": lambda x: F.glu(x).sin().sum(),
    "hardsigmoid": lambda x: F.hardsigmoid(x).sin().sum(),
    "mse_loss": lambda x: F.mse_loss(x.sin(), torch.ones_like(x)),
    "huber_loss": lambda x: F.huber_loss(x.sin(), torch.ones_like(x)),
    "linalg.solve": lambda x: torch.linalg.solve(x @ x.T + torch.eye(4, dtype=x.dtype), x).sin().sum(),
    "logdet": lambda x: torch.logdet(x @ x.T).sin(),
}
LIMITS = {
    "fused attention": Limit(attention, attention_by_math, "`SDPBackend.MATH`"),
    "float32 LSTM": Limit(lstm_float32, lstm_without_mkldnn, "its forward without mkldnn"),
    **{name: spelled_out(loss) for name, loss in SPELLED_OUT.items()},
    "scatter prod": Limit(scatter_prod, scatter_by_mask, "`where` and `prod`"),
    "cdist": Limit(cdist, cdist_composed, "differences and vector_norm"),
    "autograd.Function": Limit(
        lambda x: Cube.apply(x).sum(),
        lambda x: CubeWithTangent.apply(x).sum(),
        "a `jvp` beside `backward`, and `generate_vmap_rule`",
    ),
}
