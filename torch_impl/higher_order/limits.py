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


def layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, (6,), weight=x[0]).sin().sum()


def batch_norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, weight=x[0], training=True).sin().sum()


def weight_norm(x: Tensor) -> Tensor:
    return torch._weight_norm(x, x[:, :1], 0).sin().sum()


def glu(x: Tensor) -> Tensor:
    return F.glu(x).sin().sum()


def mse_loss(x: Tensor) -> Tensor:
    return F.mse_loss(x.sin(), torch.ones_like(x))


def huber_loss(x: Tensor) -> Tensor:
    return F.huber_loss(x.sin(), torch.ones_like(x))


def solve(x: Tensor) -> Tensor:
    return torch.linalg.solve(x @ x.T + torch.eye(4, dtype=x.dtype), x).sin().sum()


def logdet(x: Tensor) -> Tensor:
    return torch.logdet(x @ x.T).sin()


def cdist(x: Tensor) -> Tensor:
    return torch.cdist(x, x.flip(1)).sin().sum()


def cdist_composed(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x[:, None] - x.flip(1), dim=-1).sin().sum()


def spelled_out(loss: Loss) -> Limit:
    """A loss that `composed` spells out."""

    def elementary(x: Tensor) -> Tensor:
        with composed():
            return loss(x)

    return Limit(loss, elementary, "inside `composed`")


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


LIMITS = {
    "fused attention": Limit(attention, attention_by_math, "`SDPBackend.MATH`"),
    "float32 LSTM": Limit(lstm_float32, lstm_without_mkldnn, "its forward without mkldnn"),
    **{loss.__name__: spelled_out(loss) for loss in (layer_norm, batch_norm, weight_norm, glu, mse_loss, huber_loss)},
    "linalg.solve": spelled_out(solve),
    "logdet": spelled_out(logdet),
    "cdist": Limit(cdist, cdist_composed, "differences and vector_norm"),
    "autograd.Function": Limit(
        lambda x: Cube.apply(x).sum(),
        lambda x: CubeWithTangent.apply(x).sum(),
        "a `jvp` beside `backward`, and `generate_vmap_rule`",
    ),
}
