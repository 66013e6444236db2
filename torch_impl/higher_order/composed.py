"""Operations spelled out for the modes in which PyTorch's own rule for them raises or is silently wrong."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


def layer_norm(x: Tensor, shape, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """The fused kernel's forward-mode rule reads its saved mean and deviation as constants.

    Its tangent is right and that tangent's own derivative is silently wrong (pytorch#196700). Forward over reverse is
    right, but under the `vmap` of `torch.func.hessian` and `jacrev` it is silently wrong for the weight. Backward twice
    is right, and a third backward is silently wrong.
    """
    return _affine(_normal(x, tuple(range(-len(shape), 0)), eps), weight, bias)


def batch_norm(
    x: Tensor,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training: bool = False,
    momentum=0.1,
    eps: float = 1e-5,
) -> Tensor:
    """The same. With given statistics the kernel is right.

    ValueError where statistics are to be updated: they would be changed in place inside a transform.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    _not_tracked("batch_norm", running_mean)
    return _affine(_normal(x, (0, *range(2, x.ndim)), eps), *_by_channel(x, weight, bias))


def instance_norm(
    x: Tensor, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
) -> Tensor:
    """As `batch_norm`, of which it is made."""
    if not use_input_stats:
        return F.instance_norm(x, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    _not_tracked("instance_norm", running_mean)
    return _affine(_normal(x, tuple(range(2, x.ndim)), eps), *_by_channel(x, weight, bias))


def _normal(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt()


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _by_channel(x: Tensor, *arrays: Tensor | None) -> list[Tensor | None]:
    return [a if a is None else a.view(-1, *[1] * (x.ndim - 2)) for a in arrays]


def _not_tracked(norm: str, running_mean: Tensor | None) -> None:
    if running_mean is not None:
        raise ValueError(f"`running_mean` of a training `{norm}` is not spelled out: set `track_running_stats=False`")


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """The fused kernel has no forward mode, and its backward's own derivative is silently wrong for `v` (on the CPU).

    Parametrizations and `torch.nn.utils.weight_norm` call it; there even reverse over reverse is wrong.
    """
    return v * (g / torch.norm_except_dim(v, 2, dim))


def glu(x: Tensor, dim: int = -1) -> Tensor:
    """The fused kernel's tangent has no derivative."""
    a, b = x.split(x.shape[dim] // 2, dim)
    return a * b.sigmoid()


def hardsigmoid(x: Tensor, inplace: bool = False) -> Tensor:
    """The fused kernel's backward has no derivative, and its float64 gradient a float32's sixth in it."""
    return F.relu6(x + 3) / 6


REDUCTIONS = {"mean": torch.mean, "sum": torch.sum, "none": torch.clone}


def mse_loss(x: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean", weight=None) -> Tensor:
    """The fused backward's forward-mode rule divides in place what may be an immutable zero (pytorch#123996)."""
    _unset("mse_loss", size_average=size_average, reduce=reduce, weight=weight)
    return _reduced((x - target).square(), reduction)


def huber_loss(x: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight=None) -> Tensor:
    """The fused backward has no forward mode; `F.smooth_l1_loss` has one."""
    _unset("huber_loss", weight=weight)
    error = x - target
    near, far = 0.5 * error.clamp(-delta, delta).square(), delta * (error.abs() - 0.5 * delta)
    return _reduced(torch.where(error.abs() < delta, near, far), reduction)


def _unset(loss: str, **options) -> None:
    for argument, given in options.items():
        if given is not None:
            raise ValueError(f"`{argument}` of `{loss}` is not spelled out: leave it at None, or write the loss out")


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in REDUCTIONS:
        raise ValueError(f"`reduction` must be one of {', '.join(REDUCTIONS)} (got {reduction!r})")
    return REDUCTIONS[reduction](losses)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The forward-mode rule reads LU factors as constants: its own derivative is silently wrong (pytorch#192540)."""
    if not left:
        return solve(A.mT, B.mT).mT
    column = B.ndim == 1 or B.shape == A.shape[:-1]
    x = torch.linalg.lu_solve(*torch.linalg.lu_factor(A), B[..., None] if column else B)
    return x[..., 0] if column else x


def slogdet(A: Tensor) -> torch.return_types.linalg_slogdet:
    """The same."""
    factors, pivots, _ = torch.linalg.lu_factor_ex(A)
    diagonal = factors.diagonal(dim1=-2, dim2=-1)
    swaps = (pivots != torch.arange(1, A.shape[-1] + 1, device=A.device)).sum(-1)
    sign = diagonal.sgn().prod(-1) * (1 - 2 * (swaps % 2))
    return torch.return_types.linalg_slogdet((sign, diagonal.abs().log().sum(-1)))


def logdet(input: Tensor) -> Tensor:
    """The same; NaN where a real determinant is negative."""
    sign, value = slogdet(input)
    return value + sign.log() if input.is_complex() else torch.where(sign < 0, torch.nan, value)


class composed(TorchFunctionMode):
    """Inside this block these operations, called by the names below, are elementary ones, right at every order.

    `F.group_norm` and `F.rms_norm` are right as they are. Left as they are, and wrong as `solve` is: `torch.linalg.det`
    (spelled out, its gradient at a singular matrix would be lost), `solve_ex` and `tensorsolve`. For float32 and
    float64: in half precision the fused kernels accumulate in float32, and elementary operations do not.
    """

    SPELLED_OUT = {  # noqa: RUF012
        F.layer_norm: layer_norm,
        F.batch_norm: batch_norm,
        F.instance_norm: instance_norm,
        torch._weight_norm: weight_norm,
        F.glu: glu,
        F.hardsigmoid: hardsigmoid,
        F.mse_loss: mse_loss,
        F.huber_loss: huber_loss,
        torch.linalg.solve: solve,
        torch.linalg.slogdet: slogdet,
        torch.slogdet: lambda input: slogdet(input),
        torch.Tensor.slogdet: slogdet,
        torch.logdet: logdet,
        torch.Tensor.logdet: logdet,
    }

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        return (func if "out" in kwargs else self.SPELLED_OUT.get(func, func))(*args, **kwargs)
