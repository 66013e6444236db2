"""Two players behind one forward: the discriminator's loss and the generator's share the fake images.

`params` holds both networks, as `generator.*` and `discriminator.*`; a batch has `images` (B, 8, 8) and `noise` (B, N).
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, autograd

from torch_impl.models.losses import Batch, Params
from torch_impl.training.per_loss import Log

BETAS = (0.5, 0.999)


def generate(g: Params, noise: Tensor) -> Tensor:
    """Fake images, flat, in [0, 1]."""
    hidden = torch.tanh(F.linear(noise, g["generator.l1.weight"], g["generator.l1.bias"]))
    return torch.sigmoid(F.linear(hidden, g["generator.l2.weight"], g["generator.l2.bias"]))


def judge(d: Params, images: Tensor) -> Tensor:
    """A logit for each image: real where positive."""
    hidden = torch.tanh(F.linear(images, d["discriminator.l1.weight"], d["discriminator.l1.bias"]))
    return F.linear(hidden, d["discriminator.l2.weight"], d["discriminator.l2.bias"])[:, 0]


def d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Real is real, fake is fake."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def g_loss(fake: Tensor) -> Tensor:
    """Fake is real."""
    return F.softplus(-fake).mean()


def gan_wrong(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """RuntimeError at the first batch: both losses come from one forward, and the first backward frees it.

    The discriminator has already moved, the generator has not.
    """
    return _step_between(params, batches, rate, retain_graph=False)


def gan_wrong_retained(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """RuntimeError again, with another message: the step has written over the weights that the graph saved.

    `retain_graph=True` keeps what was saved, and cannot keep it unchanged.
    """
    return _step_between(params, batches, rate, retain_graph=True)


def _step_between(params: Params, batches: Iterable[Batch], rate: float, retain_graph: bool) -> tuple[Params, Log]:
    """One forward, two backwards, and the discriminator's step between them."""
    d, g, d_step, g_step = _players(params, rate)
    log = []
    for batch in batches:
        real, fake = judge(d, batch["images"].flatten(1)), judge(d, generate(g, batch["noise"]))
        d_value, g_value = d_loss(real, fake), g_loss(fake)
        d_value.backward(retain_graph=retain_graph)
        d_step.step()
        g_step.zero_grad()
        g_value.backward()
        g_step.step()
        d_step.zero_grad()
        log.append({"discriminator": d_value.item(), "generator": g_value.item()})
    return params, log


def gan_retained(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """The generator's graph is retained, the fakes are judged again after the step: right, and paid for twice.

    The discriminator's backward also runs through the generator, whose `.grad` must be dropped before its own turn.
    """
    d, g, d_step, g_step = _players(params, rate)
    log = []
    for batch in batches:
        fake = generate(g, batch["noise"])
        d_value = d_loss(judge(d, batch["images"].flatten(1)), judge(d, fake))
        d_value.backward(retain_graph=True)
        d_step.step()
        g_step.zero_grad()
        g_value = g_loss(judge(d, fake))
        g_value.backward()
        g_step.step()
        d_step.zero_grad()
        log.append({"discriminator": d_value.item(), "generator": g_value.item()})
    return params, log


def gan_detached(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """The discriminator sees `fake.detach()`: nothing is retained, and the generator is visited once.

    Its graph waits untouched for the generator's own loss, judged by the discriminator after its step.
    """
    d, g, d_step, g_step = _players(params, rate)
    log = []
    for batch in batches:
        fake = generate(g, batch["noise"])
        d_value = d_loss(judge(d, batch["images"].flatten(1)), judge(d, fake.detach()))
        d_value.backward()
        d_step.step()
        g_value = g_loss(judge(d, fake))
        g_value.backward()
        g_step.step()
        g_step.zero_grad()
        d_step.zero_grad()
        log.append({"discriminator": d_value.item(), "generator": g_value.item()})
    return params, log


def gan_one_forward(params: Params, batches: Iterable[Batch], rate: float = 0.002) -> tuple[Params, Log]:
    """One forward of both networks, each player's gradient of its own loss, then both step.

    `autograd.grad` names whose gradient is wanted. The players move at the same time: the generator answers the
    discriminator as it was before its step, which is another algorithm than `gan_detached`.
    """
    d, g, d_step, g_step = _players(params, rate)
    log = []
    for batch in batches:
        real, fake = judge(d, batch["images"].flatten(1)), judge(d, generate(g, batch["noise"]))
        d_value, g_value = d_loss(real, fake), g_loss(fake)
        into_d = autograd.grad(d_value, list(d.values()), retain_graph=True)
        into_g = autograd.grad(g_value, list(g.values()))
        for p, gradient in zip((*d.values(), *g.values()), (*into_d, *into_g), strict=True):
            p.grad = gradient
        d_step.step()
        g_step.step()
        log.append({"discriminator": d_value.item(), "generator": g_value.item()})
    return params, log


def _players(params: Params, rate: float) -> tuple[Params, Params, torch.optim.Adam, torch.optim.Adam]:
    """The discriminator's and the generator's parameters, and an optimiser for each."""
    d, g = ({k: p for k, p in params.items() if k.startswith(name)} for name in ("discriminator.", "generator."))
    return d, g, torch.optim.Adam(d.values(), rate, BETAS), torch.optim.Adam(g.values(), rate, BETAS)
