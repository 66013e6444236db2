"""FLOPs in closed form: what a trunk and K heads cost, strategy by strategy, and where a framework deviates."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from comparisons.problems import SIZES

ONE_PULL = ("summed", "summed_checkpointed", "summed_split", "directional")


class Parts(NamedTuple):
    """The matrix products and convolutions of a problem's forward, two FLOPs for each multiply-and-add.

    `unneeded` is what the gradients of the batch and of an initial state would cost; `state` the latter alone.
    `touching` counts the losses that read the features; `last` is what no backward reads the result of.
    """

    trunk: int
    unneeded: int
    heads: tuple[int, ...]
    touching: int
    state: int = 0
    last: int = 0

    @property
    def pull(self) -> int:
        """One cotangent through the trunk: each product has two gradients, but for those nobody needs."""
        return 2 * self.trunk - self.unneeded


def predicted(framework: str, strategy: str, parts: Parts) -> tuple[int | None, str]:
    """FLOPs of a strategy by theory, with what the framework is known to add or save, and why; None for no theory."""
    theory = _theory(parts)
    if strategy not in theory:
        return None, ""
    found = [(term, reason) for term, reason in _deviations(framework, strategy, parts) if term]
    return theory[strategy] + sum(term for term, _ in found), "; ".join(f"{term:+,}: {why}" for term, why in found)


def _theory(parts: Parts) -> dict[str, int]:
    trunk, pull, heads, count = parts.trunk, parts.pull, sum(parts.heads), len(parts.heads)
    once = trunk + pull + 3 * heads
    one_by_one = trunk + count * pull + 3 * heads
    together = trunk + heads + count * (pull + 2 * heads)
    return {
        "summed": once,
        "summed_checkpointed": trunk - parts.last + once,
        "summed_split": once,
        "accumulated": one_by_one,
        "per_loss_retained": one_by_one,
        "per_loss_recomputed": count * (trunk + pull) + 3 * heads,
        "per_loss_one_hot": together,
        "per_loss_batched": together,
        "per_loss_chunked": together,
        "per_loss_split": one_by_one,
        "per_loss_grouped": one_by_one,
        "per_loss_functional": together,
        "directional": once,
        "feature_gradients": trunk + 2 * heads,
    }


def _deviations(framework: str, strategy: str, parts: Parts) -> Iterator[tuple[int, str]]:
    """What a framework adds to the theory, or saves, and why."""
    apart = (len(parts.heads) - parts.touching) * parts.pull
    never = "a loss that reads no feature never enters the trunk"
    if framework == "torch":
        if strategy == "directional":
            yield parts.unneeded, "forward mode multiplies by the zero tangents of the batch and of the first state"
        if strategy in ("accumulated", "per_loss_retained", "per_loss_recomputed"):
            yield -apart, never
        return
    if strategy == "per_loss_recomputed":
        yield -(len(parts.heads) - 1) * parts.trunk, "one program runs the K equal forwards once"
        yield -apart, never
    if strategy != "feature_gradients":
        pulls = 1 if strategy in ONE_PULL else len(parts.heads)
        yield pulls * parts.state, "a scan's first step pulls to its state as every other does"


def parts(name: str, size: str) -> Parts:
    """A problem's parts at one of its sizes."""
    return BUILD[name](**SIZES[name][size])


def lesson() -> Parts:
    return Parts(trunk=2 * 10, unneeded=2 * 10, heads=(0, 0), touching=1, last=2 * 10)


def digits(batch: int, width: int) -> Parts:
    first, heads = 2 * batch * 64 * width, tuple(2 * batch * width * out for out in (10, 1, 64, 0))
    return Parts(first + 2 * batch * width**2, first, heads, touching=3)


def conv(batch: int, width: int) -> Parts:
    """3x3 kernels on 8x8 pixels, then on 4x4."""
    first, second = 2 * batch * 64 * 9 * width, 2 * batch * 16 * 9 * width * 2 * width
    return Parts(first + second, first, tuple(2 * batch * 2 * width * out for out in (10, 1, 1)), touching=3)


def attention(batch: int, width: int, depth: int) -> Parts:
    """A block: four projections, scores and mixture of eight tokens, and two layers four times as wide."""
    tokens = 8 * batch
    embed, block = 2 * tokens * 8 * width, 2 * tokens * (4 * width**2 + 2 * 8 * width + 8 * width**2)
    return Parts(embed + depth * block, embed, tuple(2 * batch * width * out for out in (10, 1, 64)), touching=3)


def recurrent(batch: int, width: int) -> Parts:
    """Eight steps; four gates read the row and the state."""
    row, state = 2 * batch * 8 * 4 * width, 2 * batch * width * 4 * width
    heads = tuple(2 * batch * width * out for out in (10, 1, 64))
    return Parts(8 * (row + state), 8 * row + state, heads, touching=3, state=state)


def many_heads(batch: int, width: int, depth: int, losses: int, hidden: int = 0) -> Parts:
    layer, head = 2 * batch * width**2, 2 * batch * (width * hidden + hidden if hidden else width)
    return Parts(depth * layer, layer, (head,) * losses, touching=losses)


BUILD: dict[str, Callable[..., Parts]] = {
    "lesson": lesson,
    "digits": digits,
    "conv": conv,
    "attention": attention,
    "recurrent": recurrent,
    "many_heads": many_heads,
}

ELEMENTWISE = "elementwise"


def xla_deviations(problem: str, strategy: str) -> list[str]:
    """What sets XLA's `cost_analysis` apart from products and convolutions: named, not predicted.

    It counts elementwise work; a loop's body once; no product with the padding's zeros; and a recomputed forward that
    it finds equal to the first, not at all.
    """
    found = [ELEMENTWISE]
    if problem == "recurrent" or strategy == "per_loss_chunked":
        found.append("loops once")
    if problem == "conv":
        found.append("no padding")
    if strategy == "summed_checkpointed":
        found.append("recomputation merged")
    return found
