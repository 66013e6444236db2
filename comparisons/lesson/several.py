"""Claims about several losses: when a graph must be retained for them, and what they share."""

import jax
import jax.numpy as jnp
import torch
from torch import autograd

from comparisons.facts import Fact
from comparisons.lesson.claims import Checked
from comparisons.lesson.lifetime import ramp
from comparisons.watch import nodes, numbers, raised, same


def lesson_losses() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cell 2: w, y = x @ w, loss_main and loss_reg."""
    w = ramp(10, 1, grad=True)
    y = ramp(1, 10) @ w
    return w, y, (y - 1).pow(2).sum(), w.pow(2).sum()


def jax_losses():
    """Cell 2 in JAX: x, w and the two losses as functions of w."""
    x, w = jnp.asarray(ramp(1, 10).numpy()), jnp.asarray(ramp(10, 1).numpy())
    return w, lambda w: ((x @ w - 1) ** 2).sum(), lambda w: (w**2).sum()


def trunk_and_heads():
    """A trunk that saves its result, and two heads on it."""
    w = ramp(4, grad=True)
    z = w.tanh()
    return w, z, z.sum(), (z**2).sum()


def multi_task() -> Checked:
    def separate(graph):
        *_, a, b = graph()

        def run():
            a.backward()
            b.backward()

        return raised(run)

    def summed():
        *_, a, b = trunk_and_heads()
        (a + b).backward()

    def split():
        _, z, _, _ = trunk_and_heads()
        cut = z.detach().requires_grad_()
        cut.sum().backward()
        (cut**2).sum().backward()
        z.backward(cut.grad)

    trunk, lesson, one, cut = separate(trunk_and_heads), separate(lesson_losses), raised(summed), raised(split)
    w = jnp.arange(1.0, 5.0)
    heads = (lambda z: z.sum()), (lambda z: (z**2).sum())
    z, pullback = jax.vjp(jnp.tanh, w)
    pulled = [pullback(jax.grad(head)(z))[0] for head in heads]
    alone = [jax.grad(lambda w: head(jnp.tanh(w)))(w) for head in heads]
    return Checked(
        [
            Fact("two backwards through a shared tanh need it", bool(trunk.kind), f"without: {trunk.at} raises"),
            Fact("two backwards of the lesson's own losses need it", bool(lesson.kind), f"without: {lesson}"),
            Fact("one backward of the sum needs it", bool(one.kind), f"without: {one}"),
            Fact("heads on a cut feature, then the trunk, need it", bool(cut.kind), f"without: {cut}"),
        ],
        [],
        [
            Fact(
                "one pullback of the trunk serves both losses",
                all(map(same, pulled, alone)),
                "equal to jax.grad of each loss alone",
            )
        ],
    )


def look_first() -> Checked:
    w = ramp(4, grad=True)
    optimizer = torch.optim.SGD([w], 0.1)
    start, seen = w.detach().clone(), torch.zeros(4)

    def look_then_step():
        w.tanh().sum().backward()
        seen.copy_(w.grad)
        optimizer.step()

    error = raised(look_then_step)
    moved = same(w, start - 0.1 * seen)
    gradient = jax.grad(lambda w: jnp.tanh(w).sum())(jnp.asarray(start.numpy()))
    return Checked(
        [
            Fact(
                "without it, reading .grad or the step after it fails",
                bool(error.kind) or not moved,
                f"{error}: read {numbers(seen)}, then the step took it",
            )
        ],
        [],
        [
            Fact(
                "the gradient is a value; the update comes after",
                same(gradient, seen),
                numbers(gradient),
            )
        ],
    )


def gans() -> Checked:
    def play(retain=False, detach=False, step=False):
        generator, critic = ramp(4, grad=True), ramp(4, grad=True)
        optimizer = torch.optim.SGD([critic], 0.1)
        fake = generator.tanh()
        score = (critic * (fake.detach() if detach else fake)).tanh().sum()
        score.backward(retain_graph=retain)
        if step:
            optimizer.step()
        (-(critic * fake).tanh().sum() if detach else -score).backward()

    plain, detached = raised(play), raised(lambda: play(detach=True, step=True))
    retained, stepped = raised(lambda: play(retain=True)), raised(lambda: play(retain=True, step=True))

    def score(generator, critic):
        return jnp.tanh(critic * jnp.tanh(generator)).sum()

    players = jnp.arange(1.0, 5.0), jnp.arange(4.0)
    _, pullback = jax.vjp(score, *players)
    one = pullback(-1.0)[0], pullback(1.0)[1]
    each = -jax.grad(score, 0)(*players), jax.grad(score, 1)(*players)
    return Checked(
        [
            Fact("one forward, two players: without it the second raises", bool(plain.kind), f"in {plain.at}"),
            Fact("one forward, two players: it is enough", not retained.kind, str(retained)),
            Fact(
                "with the critic's step in between it is enough",
                not stepped.kind,
                f"{stepped.message[:84]}...: {stepped.at} raises",
            ),
            Fact("with fake.detach() for the critic it is needed", bool(detached.kind), f"without: {detached}"),
        ],
        [],
        [
            Fact(
                "one vjp gives both players' gradients", all(map(same, one, each)), "equal to jax.grad of each argument"
            )
        ],
    )


def one_graph() -> Checked:
    _, _, main, reg = lesson_losses()
    of_main, of_reg = nodes(main), nodes(reg)
    both = [of_main[node] for node in of_main.keys() & of_reg.keys()]
    _, _, a, b = trunk_and_heads()
    of_a, of_b = nodes(a), nodes(b)
    shared = [of_a[node] for node in of_a.keys() & of_b.keys() if of_a[node] != "AccumulateGrad"]

    w, jax_main, jax_reg = jax_losses()
    products = [str(jax.make_jaxpr(jax.grad(f))(w)).count("dot_general") for f in (jax_main, jax_reg)]
    return Checked(
        [
            Fact(
                "they share a node beside w's AccumulateGrad",
                any(name != "AccumulateGrad" for name in both),
                f"{len(of_main)} and {len(of_reg)} nodes, in both: {', '.join(both)}",
            )
        ],
        [Fact("losses on one trunk do share nodes", shared == ["TanhBackward0"], f"in both: {', '.join(shared)}")],
        [
            Fact(
                "reg's gradient has no product x @ w in it",
                products[0] > 0 and products[1] == 0,
                f"dot_general in the jaxprs: main {products[0]}, reg {products[1]}",
            )
        ],
    )


def reg_needs_graph() -> Checked:
    def backward(*order):
        def run():
            _, y, main, reg = lesson_losses()
            losses = {"main": main, "reg": reg, "abs(y)": y.abs().sum()}
            for name in order:
                losses[name].backward()

        return raised(run)

    forth, back, other = backward("main", "reg"), backward("reg", "main"), backward("main", "abs(y)")
    w, main, reg = jax_losses()
    pulls = [jax.vjp(f, w)[1] for f in (main, reg)]
    first = [pull(1.0)[0] for pull in pulls]
    again = [pull(1.0)[0] for pull in reversed(pulls)][::-1]
    return Checked(
        [
            Fact("without it, main then reg fails", bool(forth.kind), str(forth)),
            Fact("without it, reg then main fails", bool(back.kind), str(back)),
        ],
        [Fact("a second loss on y, y.abs().sum(), would need it", bool(other.kind), f"without: {other.at} raises")],
        [
            Fact(
                "either order, the same gradients",
                all(same(a, b, 0) for a, b in zip(first, again, strict=True)),
                "bit by bit",
            )
        ],
    )


def gradients_add() -> Checked:
    w, _, main, reg = lesson_losses()
    alone = [autograd.grad(loss, w, retain_graph=True)[0] for loss in (main, reg)]
    main.backward()
    kept, before = w.grad, w.grad.clone()
    reg.backward()

    v, jax_main, jax_reg = jax_losses()
    grads = {"main": jax.grad(jax_main)(v), "reg": jax.grad(jax_reg)(v)}
    apart = same(grads["main"], alone[0]) and same(grads["reg"], alone[1])
    return Checked(
        [Fact(".grad is the sum of the two gradients", same(w.grad, alone[0] + alone[1]), numbers(w.grad))],
        [
            Fact(
                "in place: a reference kept for logging changes too",
                kept is w.grad and not same(kept, before),
                f"{numbers(before[:3])} became {numbers(kept[:3])}",
            )
        ],
        [
            Fact(
                "two values stay two values",
                apart,
                f"main {numbers(grads['main'][:3])}, reg {numbers(grads['reg'][:3])}",
            )
        ],
    )
