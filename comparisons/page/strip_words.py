"""A moment of a strip in words: what was freed or saved since the one before, why, and what holds the rest."""

from collections.abc import Sequence

from comparisons.memory.strip.said import APART, CUT, OPERATIONS, RETAINED, Said
from comparisons.rows import Row

OWN = {"A": "A's own", "B": "B's own", "shared": "the trunk's"}


def cause(tensors: Sequence[Row], before: Sequence[Row], seen: set[int], done: set[str], said: Said) -> str:
    """Why this moment holds what it holds; `before` is the last moment, `seen` all that was held until then."""
    phase, in_jax = tensors[0]["phase"], tensors[0]["framework"] == "jax"
    if phase == "forward":
        later = sorted({row["owner"] for row in tensors if not row["alive"]} - {"shared"})
        return "; ".join(
            ["kept for the pulls" if in_jax else "saved for backward", *(f"{loss}'s come later" for loss in later)]
        )
    was, now = ({row["tensor"] for row in moment if row["alive"]} for moment in (before, tensors))
    freed, made = (_parts(tensors, *sets) for sets in ((was - now, was), (now - was, now)))
    if phase == "dropped":
        return f"still held: {_parts(tensors, now, now)}" if now else _dropped(in_jax, said, bool(was))
    if phase.startswith("before"):
        again = " again" if any(row["owner"] == "shared" and row["tensor"] in seen - was for row in tensors) else ""
        saves = f"saves {made}{again}"
        return f"drops {freed}, {saves}" if freed else saves
    if freed:
        frees = "all of it" if not now and " and " in freed else freed
        unasked = "no `retain_graph`: " if said.why == RETAINED and not in_jax else ""
        return f"{unasked}frees {frees}{_stays(tensors, done, said)}"
    if in_jax:
        return f"nothing freed: the {'pullbacks are' if said.pulled == APART else 'pullback is'} still there"
    return f"nothing freed: {RETAINED}" if said.why == RETAINED else "nothing freed"


def _dropped(in_jax: bool, said: Said, held: bool) -> str:
    if not in_jax:
        return f"the losses are dropped{', and with them all that was left' if held else ': nothing was left'}"
    if said.pulled == APART:
        return "the pullbacks are dropped, and with them all that they held"
    return "the pullback is dropped, and with it all that it held"


def _parts(tensors: Sequence[Row], chosen: set[int], among: set[int]) -> str:
    """Tensors in words. A part of the trunk is told by its place: what was saved first stands lowest."""
    own = {owner: [row["tensor"] for row in tensors if row["owner"] == owner] for owner in OWN}
    words = {owner: OWN[owner] for owner, numbers in own.items() if chosen & set(numbers)}
    trunk = sorted(among & set(own["shared"]))
    part = sorted(chosen & set(trunk))
    if part and part != trunk:
        place = "lower" if part == trunk[: len(part)] else "upper"
        words["shared"] = f"the trunk's {place} block{'s' * (len(part) > 1)}"
    return " and ".join(words.values())


def _stays(tensors: Sequence[Row], done: set[str], said: Said) -> str:
    """Who holds what a backward has left. A head's input is what the trunk saved last, its highest block."""
    left = [row for row in tensors if row["alive"]]
    if said.why == RETAINED:
        trunk = [row["tensor"] for row in left if row["owner"] == "shared"]
        highest = trunk == [row["tensor"] for row in tensors if row["owner"] == "shared"][-1:]
        holders = sorted({row["owner"] for row in left} & done)
        inputs = " and its first layer's input, the upper block" if highest else ""
        return "".join(f"; {loss}'s retained head keeps its own{inputs}" for loss in holders)
    return f"; {CUT}" if said.why == CUT and left else ""


def named(row: Row) -> str:
    """What a block is called: the operation that keeps it; in JAX, what was computed."""
    op = row["op"].split(", ")[-1] or "tensor"
    return OPERATIONS.get(op, op) if row["framework"] == "jax" else op
