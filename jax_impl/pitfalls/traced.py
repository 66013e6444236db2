"""What goes wrong where Python meets a traced value, and where a dtype is not what it seems."""

import jax
import jax.numpy as jnp
from jax import Array


def kept_intermediate(w: Array, kept: list[Array]) -> Array:
    """A value that leaves a traced function by a side effect is a tracer: using it later raises."""

    def loss(w):
        z = jnp.tanh(w)
        kept.append(z)
        return z.sum()

    jax.grad(loss)(w)
    return kept[-1] + 1


def kept_intermediate_fixed(w: Array) -> Array:
    """Return it: `has_aux` brings an intermediate out as a value."""

    def loss(w):
        z = jnp.tanh(w)
        return z.sum(), z

    _, z = jax.grad(loss, has_aux=True)(w)
    return z + 1


def branch_on_value(w: Array) -> Array:
    """Under `jit` a branch cannot depend on a value: it is not known when the function is traced."""

    @jax.jit
    def grad(w):
        return jax.grad(lambda w: (w**2).sum() if w.sum() > 0 else -w.sum())(w)

    return grad(w)


def branch_on_value_fixed(w: Array) -> Array:
    """`lax.cond` traces both branches and takes one when it runs; without `jit`, `grad` alone allows the `if`."""

    @jax.jit
    def grad(w):
        return jax.grad(lambda w: jax.lax.cond(w.sum() > 0, lambda w: (w**2).sum(), lambda w: -w.sum(), w))(w)

    return grad(w)


def concrete_value(w: Array) -> Array:
    """`float` of a traced value raises, under `grad` too: PyTorch drops the term and warns."""
    return jax.grad(lambda w: w.sum() * float(w.sum()))(w)


def concrete_value_fixed(w: Array) -> Array:
    """Leave it an array; `stop_gradient` where a constant is meant."""
    return jax.grad(lambda w: w.sum() * w.sum())(w)


def float64_input(array) -> Array:
    """A NumPy float64 array becomes float32, silently, unless x64 is on."""
    return jnp.asarray(array)


def float64_input_fixed(array) -> Array:
    """x64 for a block; `jax.config.update("jax_enable_x64", True)` for a program."""
    with jax.enable_x64(True):
        return jnp.asarray(array)


def integer_parameter(params: dict[str, Array]) -> dict[str, Array]:
    """An integer leaf's gradient has dtype float0, and the update that subtracts it raises."""
    _, pullback = jax.vjp(lambda p: (p["w"] * p["count"]).sum(), params)
    (grads,) = pullback(1.0)
    return jax.tree.map(jnp.subtract, params, grads)


def integer_parameter_fixed(params: dict[str, Array]) -> dict[str, Array]:
    """Differentiate the floating leaves alone, and pass the others beside them."""
    floating = {name: p for name, p in params.items() if jnp.issubdtype(p.dtype, jnp.inexact)}
    grads = jax.grad(lambda p: (p["w"] * params["count"]).sum())(floating)
    return params | jax.tree.map(jnp.subtract, floating, grads)
