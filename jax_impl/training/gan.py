"""Two players behind one forward: the discriminator's loss and the generator's share the fake images.

`params` holds both networks, as `generator.*` and `discriminator.*`; a batch has `images` (B, 8, 8) and `noise` (B, N).
"""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.nn import softplus

from jax_impl.models.losses import Batch, Params
from jax_impl.training.per_loss import Log

BETAS = (0.5, 0.999)


def generate(g: Params, noise: Array) -> Array:
    """Fake images, flat, in [0, 1]."""
    hidden = jnp.tanh(noise @ g["generator.l1.kernel"] + g["generator.l1.bias"])
    return jax.nn.sigmoid(hidden @ g["generator.l2.kernel"] + g["generator.l2.bias"])


def judge(d: Params, images: Array) -> Array:
    """A logit for each image: real where positive."""
    hidden = jnp.tanh(images @ d["discriminator.l1.kernel"] + d["discriminator.l1.bias"])
    return (hidden @ d["discriminator.l2.kernel"] + d["discriminator.l2.bias"])[:, 0]


def d_loss(real: Array, fake: Array) -> Array:
    """Real is real, fake is fake."""
    return softplus(-real).mean() + softplus(fake).mean()


def g_loss(fake: Array) -> Array:
    """Fake is real."""
    return softplus(-fake).mean()


def _both_losses(d: Params, g: Params, batch: Batch) -> tuple[Array, Array]:
    """One forward of both networks, two losses."""
    fake = judge(d, generate(g, batch["noise"]))
    return d_loss(judge(d, _flat(batch)), fake), g_loss(fake)


def gan_wrong(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """No error: a pullback kept across the discriminator's step answers at the old discriminator.

    The program that PyTorch refuses runs here, and is `gan_one_forward` in disguise: the generator's gradient does not
    know of the step that the code puts before it.
    """

    def step(d, g, d_state, g_state, batch):
        values, pullback = jax.vjp(lambda d, g: _both_losses(d, g, batch), d, g)
        into_d, _ = pullback(_one_hot(values, 0))
        d, d_state = _update(d, into_d, d_state, rate)
        _, into_g = pullback(_one_hot(values, 1))
        g, g_state = _update(g, into_g, g_state, rate)
        return (d, g, d_state, g_state), values

    return _play(step, params, batches, rate)


def gan_retained(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """The generator's pullback is pulled for both losses, and the first answer thrown away: right, and asked twice.

    What PyTorch's retained backward leaves in `.grad` is a value here that nobody uses; XLA never computes it.
    """

    def step(d, g, d_state, g_state, batch):
        fake, pullback = jax.vjp(lambda g: generate(g, batch["noise"]), g)
        judged = jax.value_and_grad(lambda d, fake: d_loss(judge(d, _flat(batch)), judge(d, fake)), (0, 1))
        d_value, (into_d, dfake) = judged(d, fake)
        pullback(dfake)
        d, d_state = _update(d, into_d, d_state, rate)
        g_value, dfake = jax.value_and_grad(lambda fake: g_loss(judge(d, fake)))(fake)
        g, g_state = _update(g, pullback(dfake)[0], g_state, rate)
        return (d, g, d_state, g_state), (d_value, g_value)

    return _play(step, params, batches, rate)


def gan_detached(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """The discriminator's loss is differentiated with respect to the discriminator alone: the fakes are a constant.

    The generator's pullback waits for the generator's own loss, judged by the discriminator after its step. Where a
    generator's forward stands inside the differentiated function, `jax.lax.stop_gradient` cuts as `detach` does.
    """

    def step(d, g, d_state, g_state, batch):
        fake, pullback = jax.vjp(lambda g: generate(g, batch["noise"]), g)
        d_value, into_d = jax.value_and_grad(lambda d: d_loss(judge(d, _flat(batch)), judge(d, fake)))(d)
        d, d_state = _update(d, into_d, d_state, rate)
        g_value, dfake = jax.value_and_grad(lambda fake: g_loss(judge(d, fake)))(fake)
        g, g_state = _update(g, pullback(dfake)[0], g_state, rate)
        return (d, g, d_state, g_state), (d_value, g_value)

    return _play(step, params, batches, rate)


def gan_one_forward(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """One forward of both networks, one pullback pulled for each player, then both step.

    Each pull gives both players' gradients, and the entry of the loss's own player is kept. The players move at the
    same time: the generator answers the discriminator as it was before its step, which is another algorithm than
    `gan_detached`.
    """

    def step(d, g, d_state, g_state, batch):
        values, pullback = jax.vjp(lambda d, g: _both_losses(d, g, batch), d, g)
        into_d, _ = pullback(_one_hot(values, 0))
        _, into_g = pullback(_one_hot(values, 1))
        d, d_state = _update(d, into_d, d_state, rate)
        g, g_state = _update(g, into_g, g_state, rate)
        return (d, g, d_state, g_state), values

    return _play(step, params, batches, rate)


def _update(params: Params, gradient: Params, state: optax.OptState, rate: float) -> tuple[Params, optax.OptState]:
    """One player's step."""
    updates, state = optax.adam(rate, *BETAS).update(gradient, state)
    return optax.apply_updates(params, updates), state


def _one_hot(values: tuple[Array, ...], k: int) -> tuple[Array, ...]:
    """The cotangent that asks for the k-th loss alone."""
    return tuple(jnp.full_like(v, i == k) for i, v in enumerate(values))


def _flat(batch: Batch) -> Array:
    return batch["images"].reshape(-1, 64)


def _play(step: Callable, params: Params, batches: Iterable[Batch], rate: float) -> tuple[Params, Log]:
    """The loop: both players' parameters and optimiser states go through the compiled step."""
    d, g = ({k: p for k, p in params.items() if k.startswith(name)} for name in ("discriminator.", "generator."))
    step, state = jax.jit(step), tuple(map(optax.adam(rate, *BETAS).init, (d, g)))
    log = []
    for batch in batches:
        (d, g, *state), (d_value, g_value) = step(d, g, *state, batch)
        log.append({"discriminator": d_value, "generator": g_value})
    return d | g, log
