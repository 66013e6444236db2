"""Claims about memory and cost: bytes held by the graph, FLOPs of one backward and of several."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import jax_impl.first_order
import jax_impl.models.losses
import torch_impl.first_order
import torch_impl.models.losses
from comparisons.facts import Fact
from comparisons.lesson.claims import Checked
from comparisons.lesson.lifetime import ramp
from comparisons.watch import nodes, residual_bytes, saved

SIDE = 1000
WIDTH = 32
HEADS = 8


def whole_history() -> Checked:
    w = ramp(64, grad=True)
    with saved(w) as watch:
        z = w + 1
        outputs = [z, z * 3, z.tanh(), z.tanh().exp()]
        loss = sum(y.sum() for y in outputs)
    forward, made = watch.bytes, w.nbytes * 5
    loss.backward(retain_graph=True)
    retained, peak = watch.bytes, watch.peak

    v = jnp.asarray(w.detach().numpy())
    _, pullback = jax.vjp(lambda v: (v + 1).sum() + ((v + 1) * 3).sum(), v)
    held = residual_bytes(pullback, v)
    return Checked(
        [
            Fact("what the forward saved stays", retained == forward > 0, f"{forward} B before, {retained} B after"),
            Fact("that is every activation", retained >= made, f"{retained} of the {made} B that the forward made"),
            Fact("retaining takes new memory", peak > forward, f"at most {peak} B held, {forward} B after the forward"),
        ],
        [],
        [
            Fact(
                "nor does a pullback",
                held < v.nbytes,
                f"w + 1, (w + 1) * 3 and sums: {held} B, an array has {v.nbytes} B",
            )
        ],
    )


def trunk_and_heads(impl, tanh, depth: int, hidden: int):
    """Eight losses behind `depth` square layers, each head with `hidden` units, for either side's `Losses`."""

    def trunk(p):
        z = p["x"]
        for k in range(depth):
            z = tanh(z @ p[f"trunk{k}"])
        return z

    def head(k, p, z):
        return tanh(z @ p[f"head{k}"]).sum()

    return impl(trunk, {f"loss{k}": partial(head, k) for k in range(HEADS)})


def draw(depth: int, hidden: int) -> dict[str, np.ndarray]:
    shapes = {"x": (WIDTH, WIDTH)} | {f"trunk{k}": (WIDTH, WIDTH) for k in range(depth)}
    shapes |= {f"head{k}": (WIDTH, hidden) for k in range(HEADS)}
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) / WIDTH**0.5 for name, shape in shapes.items()}


def cost(strategy: str, **sizes: int) -> tuple[int, int]:
    """FLOPs of a PyTorch strategy, and the most bytes that its graphs ever held beside the parameters."""
    params = {name: torch.tensor(value, requires_grad=True) for name, value in draw(**sizes).items()}
    losses = trunk_and_heads(torch_impl.models.losses.Losses, torch.tanh, **sizes)
    with saved(*params.values()) as watch, FlopCounterMode(display=False) as counter:
        getattr(torch_impl.first_order, strategy)(losses, params)
    return counter.get_total_flops(), watch.peak


def jax_flops(strategy: str, **sizes: int) -> float:
    """FLOPs of a JAX strategy under one jit, as XLA counts them."""
    params = {name: jnp.asarray(value) for name, value in draw(**sizes).items()}
    losses = trunk_and_heads(jax_impl.models.losses.Losses, jnp.tanh, **sizes)
    run = jax.jit(partial(getattr(jax_impl.first_order, strategy), losses))
    return run.lower(params).compile().cost_analysis()["flops"]


def sum_is_lighter() -> Checked:
    deep, wide = {"depth": 4, "hidden": 4}, {"depth": 1, "hidden": 512}
    found = {
        (name, strategy): cost(strategy, **sizes)
        for name, sizes in (("deep", deep), ("wide", wide))
        for strategy in ("summed", "per_loss_retained", "per_loss_recomputed", "summed_split")
    }

    def flops(name, strategy):
        return found[name, strategy][0]

    def held(name, strategy):
        return found[name, strategy][1]

    ratio = {name: flops(name, "per_loss_retained") / flops(name, "summed") for name in ("deep", "wide")}
    split = flops("wide", "summed_split") / flops("wide", "summed")
    jax_ratio = jax_flops("per_loss_retained", **deep) / jax_flops("summed", **deep)
    return Checked(
        [
            Fact(
                "deep trunk, 8 losses: fewer FLOPs than retained", ratio["deep"] > 1, f"retained {ratio['deep']:.2f} x"
            ),
            Fact(
                "wide heads, 8 losses: fewer FLOPs than retained", ratio["wide"] > 1, f"retained {ratio['wide']:.2f} x"
            ),
            Fact(
                "wide heads: the graph holds least",
                all(held("wide", "summed") <= held("wide", s) for s in ("per_loss_recomputed", "summed_split")),
                f"summed {held('wide', 'summed')} B, one forward a loss {held('wide', 'per_loss_recomputed')} B, "
                f"split at the trunk {held('wide', 'summed_split')} B",
            ),
        ],
        [Fact("splitting gives the same sum at no more FLOPs", split <= 1.0, f"split {split:.3f} x summed")],
        [Fact("deep trunk, one jit: the same answer", jax_ratio > 1.5, f"retained {jax_ratio:.2f} x the FLOPs (XLA)")],
    )


def huge_in_graph() -> Checked:
    huge = torch.ones(SIDE, SIDE, requires_grad=True)
    with saved() as watch:
        y = huge * 2
        loss = y.sum()
    loss.backward(retain_graph=True)
    node = y.grad_fn
    by_node, factor = node._saved_self, node._saved_other
    loss.backward()
    leaf = next(node for node, name in nodes(loss).items() if name == "AccumulateGrad")
    data = leaf.variable.data_ptr() == huge.data_ptr()

    v = jnp.ones((SIDE, SIDE))
    _, pullback = jax.vjp(lambda v: (v * 2).sum(), v)
    arrays = sum(leaf.nbytes for leaf in jax.tree.leaves(pullback) if isinstance(leaf, jax.Array))
    return Checked(
        [
            Fact(
                "the retained graph saves `huge`",
                watch.bytes > 0 or by_node is not None,
                f"{watch.bytes} B saved: {node.name()} keeps {factor} and no input",
            )
        ],
        [
            Fact(
                "its AccumulateGrad points at the leaf, retained or not, while the loss lives",
                data,
                "after the last backward",
            )
        ],
        [Fact("the pullback of huge * 2 does not hold it", arrays < v.nbytes, f"{arrays} of {v.nbytes} B")],
    )


def memory_freed() -> Checked:
    huge = torch.ones(SIDE, SIDE, requires_grad=True)
    with saved() as watch:
        y = huge * 2
        loss = y.sum()
    own, held = [huge.nbytes + y.nbytes], [watch.bytes]
    for retain in (True, False):
        loss.backward(retain_graph=retain)
        own.append(huge.nbytes + y.nbytes + huge.grad.nbytes)
        held.append(watch.bytes)

    v = jnp.ones((SIDE, SIDE))
    _, pullback = jax.vjp(lambda v: jnp.exp(v).sum(), v)
    pullback(1.0)
    kept = residual_bytes(pullback, v)
    return Checked(
        [
            Fact(
                "the last backward frees saved bytes", held[2] < held[1], f"saved {held} B: there was nothing to free"
            ),
            Fact(
                "at the end less is held than before",
                own[2] + held[2] < own[0] + held[0],
                f"`huge` and y {own[0]} B before, with huge.grad {own[2]} B after",
            ),
        ],
        [],
        [Fact("no pull frees anything: with exp the residual stays", kept == v.nbytes, f"{kept} B held after a pull")],
    )
