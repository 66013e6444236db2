"""Derivatives of derivatives: curvature, gradients inside losses, and solves."""

from jax_impl.higher_order.derivatives import forward, nth_derivative, reverse
from jax_impl.higher_order.matrices import hessian, hessian_diagonal
from jax_impl.higher_order.meta import maml, sine_loss
from jax_impl.higher_order.network import cross_entropies, mlp
from jax_impl.higher_order.penalty import critic_losses, gradient_penalty, plain_norm, safe_norm
from jax_impl.higher_order.physics import burgers, heat, pde_losses, train
from jax_impl.higher_order.products import (
    gauss_newton_vp,
    hvp_forward_over_reverse,
    hvp_reverse_over_forward,
    hvp_reverse_over_reverse,
)
from jax_impl.higher_order.solve import implicit_gradient, influence, inverse_hvp, newton
from jax_impl.higher_order.tree import total
from jax_impl.higher_order.weights import grad_norm, grad_norm_detached

__all__ = [
    "burgers",
    "critic_losses",
    "cross_entropies",
    "forward",
    "gauss_newton_vp",
    "grad_norm",
    "grad_norm_detached",
    "gradient_penalty",
    "heat",
    "hessian",
    "hessian_diagonal",
    "hvp_forward_over_reverse",
    "hvp_reverse_over_forward",
    "hvp_reverse_over_reverse",
    "implicit_gradient",
    "influence",
    "inverse_hvp",
    "maml",
    "mlp",
    "newton",
    "nth_derivative",
    "pde_losses",
    "plain_norm",
    "reverse",
    "safe_norm",
    "sine_loss",
    "total",
    "train",
]
