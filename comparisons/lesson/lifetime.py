"""Claims about one graph and its life: what is saved, when it goes, what a second backward meets."""

import weakref

import jax
import jax.numpy as jnp
import numpy as np
import torch

from comparisons.facts import Fact
from comparisons.lesson.claims import Checked
from comparisons.pitfalls.twice import second_backwards
from comparisons.watch import gone, nodes, numbers, raised, residual_bytes, same, saved


def ramp(*shape: int, grad: bool = False) -> torch.Tensor:
    """Numbers from 0.1 on, all different and none zero."""
    return (0.1 + torch.arange(float(np.prod(shape))).reshape(shape) / 10).requires_grad_(grad)


def forward_saves() -> Checked:
    def packed(*calls):
        held = []
        for call in calls:
            leaf = ramp(4, 4, grad=True)
            with saved(leaf) as watch:
                call(leaf)
            held.append(watch.packed)
        return held

    keep = packed(torch.exp, torch.tanh, torch.relu, lambda a: a * a, lambda a: a @ a)
    nothing = packed(torch.sum, lambda a: a + 1, lambda a: a * 2, torch.clone, torch.mean, lambda a: torch.cat([a, a]))
    x, w = ramp(1, 10), ramp(10, 1, grad=True)
    with saved(x, w) as lesson:
        (x @ w).sum()

    p = jnp.ones((4, 4))
    held = {f.__name__: residual_bytes(jax.vjp(f, p)[1], p) for f in (jnp.sum, jnp.tanh)}
    return Checked(
        [
            Fact("exp, tanh, relu, a*a, a@a save tensors", min(keep) > 0, f"packed {keep}"),
            Fact("sum, a+1, a*2, clone, mean, cat save tensors", max(nothing) > 0, f"packed {nothing}"),
            Fact(
                "cell 1 saves an intermediate tensor",
                lesson.bytes > 0,
                f"packed {lesson.packed}: the input x; {lesson.bytes} B beside x and w",
            ),
        ],
        [],
        [
            Fact("the pullback of sum holds no array", held["sum"] == 0, f"{held['sum']} B"),
            Fact("the pullback of tanh holds residuals", held["tanh"] >= p.nbytes, f"{held['tanh']} B for {p.nbytes}"),
        ],
    )


def graph_destroyed() -> Checked:
    x, w = ramp(8, 16), ramp(16, 4, grad=True)
    with saved(x, w) as watch:
        loss = (x @ w).tanh().sum()
    before, there = watch.bytes, len(nodes(loss))
    loss.backward()
    after, left = watch.bytes, nodes(loss)

    p = jnp.ones((8, 16))
    _, pullback = jax.vjp(lambda p: jnp.tanh(p).sum(), p)
    fresh = residual_bytes(pullback, p)
    pullback(1.0)
    used = residual_bytes(pullback, p)
    return Checked(
        [
            Fact("its saved tensors go", after < before, f"{before} B before, {after} B after"),
            Fact(
                "its nodes go",
                len(left) < there,
                f"{there} nodes before, {len(left)} after: {', '.join(left.values())}",
            ),
        ],
        [],
        [
            Fact(
                "a used pullback holds what it held",
                used == fresh,
                f"{fresh} B before, {used} B after; it goes with `del`",
            )
        ],
    )


def second_backward() -> Checked:
    found = second_backwards()
    data = [row for row in found if row.saves]
    plain = [row for row in found if not row.saves]
    counts = [f"{sum(not row.twice for row in rows)} of {len(rows)}" for rows in (data, plain)]

    def pulled(f):
        _, pullback = jax.vjp(f, jnp.arange(1.0, 5.0))
        return same(pullback(1.0)[0], pullback(1.0)[0], 0)

    losses = (jnp.sum, lambda a: jnp.exp(a).sum(), lambda a: (a * 2).sum(), lambda a: jnp.tanh(a) @ a)
    again = [pulled(f) for f in losses]
    return Checked(
        [
            Fact("graphs whose nodes saved data raise", not any(row.twice for row in data), f"{counts[0]} raise"),
            Fact("graphs whose nodes saved none raise", not any(row.twice for row in plain), f"{counts[1]} raise"),
        ],
        [],
        [Fact("a pullback answers twice, bit by bit the same", all(again), f"{sum(again)} of {len(again)} functions")],
    )


def cell_one() -> Checked:
    x, w = ramp(1, 10), ramp(10, 1, grad=True)
    loss: list[torch.Tensor] = []

    def first():
        loss.append((x @ w).sum())
        loss[0].backward()

    def both():
        loss[:] = [(x @ w).sum()]
        loss[0].backward()
        loss[0].backward()

    once, twice = raised(first), raised(both)
    _, pullback = jax.vjp(lambda w: (jnp.asarray(x.numpy()) @ w).sum(), jnp.asarray(w.detach().numpy()))
    pulls = pullback(1.0)[0], pullback(1.0)[0]
    text = "Trying to backward through the graph a second time"
    return Checked(
        [
            Fact("the first backward passes", not once.kind, str(once)),
            Fact("the second raises the text shown", twice.message.startswith(text), twice.kind),
        ],
        [Fact("it is the product that raises, not the sum", twice.at == "MmBackward0", f"raised in {twice.at}")],
        [Fact("the second pull gives what the first gave", same(*pulls, 0), f"{numbers(pulls[0])} twice")],
    )


def retain_keeps() -> Checked:
    x, w = ramp(8, 16), ramp(16, 4, grad=True)
    with saved(x, w) as watch:
        loss = (x @ w).tanh().sum()
    held = [watch.bytes]
    for retain in (True, True, False):
        loss.backward(retain_graph=retain)
        held.append(watch.bytes)

    p = jnp.ones((8, 16))
    _, pullback = jax.vjp(lambda p: jnp.tanh(p).sum(), p)
    residuals = [residual_bytes(pullback, p)]
    for _ in range(2):
        pullback(1.0)
        residuals.append(residual_bytes(pullback, p))
    return Checked(
        [Fact("two retaining backwards leave all saved bytes", held[0] == held[1] == held[2] > 0, f"{held[:3]} B")],
        [Fact("the first that does not retain frees them", held[3] == 0, f"{held[3]} B")],
        [Fact("that is how a pullback always is", len(set(residuals)) == 1, f"residuals {residuals} B over two pulls")],
    )


def two_ways_to_free() -> Checked:
    trunk, a, b = ramp(16, grad=True), ramp(16, grad=True), ramp(16, grad=True)

    def graph():
        with saved(trunk, a, b) as watch:
            z = trunk.exp()
            loss_a, loss_b = (z * a.exp()).sum(), (z * b.exp()).sum()
        return watch, loss_a, loss_b

    watch, *losses = graph()
    sum(losses).backward()
    visited = watch.bytes
    watch, *losses = graph()
    losses.clear()
    dropped = watch.bytes
    watch, loss_a, loss_b = graph()
    loss_a.backward(retain_graph=True)
    loss_b.backward()
    private = watch.bytes
    del loss_a
    rest = watch.bytes

    def residual():
        p = jnp.arange(4.0)
        _, pullback = jax.vjp(lambda p: jnp.tanh(p).sum(), p)
        (array, *_) = [leaf for leaf in jax.tree.leaves(pullback) if isinstance(leaf, jax.Array) and leaf is not p]
        return pullback, weakref.ref(array)

    pullback, kept = residual()
    pullback(1.0)
    alive = not gone(kept)
    del pullback
    return Checked(
        [
            Fact("a backward without retain frees the nodes it visits", visited == 0, f"{visited} B held"),
            Fact("dropping the losses frees them", dropped == 0, f"{dropped} B held"),
            Fact(
                "it frees what only the first loss visited", private == 0, f"{private} B held after loss_b.backward()"
            ),
        ],
        [Fact("those bytes go with loss_a", rest == 0, f"{private} B before `del loss_a`, {rest} B after")],
        [
            Fact(
                "only one way: the pullback's last reference dies",
                alive and gone(kept),
                "alive after a pull, dead after `del`",
            )
        ],
    )
