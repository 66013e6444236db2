"""72 configurations of `many_heads`: what is held, measured and by closed form, on both sides."""

from functools import partial
from itertools import product

import jax

import jax_impl.memory
import torch_impl.memory
from comparisons.frameworks import jax_scope
from comparisons.memory import predictions, sides
from comparisons.memory.ledger import judged
from comparisons.memory.predictions import Sizes
from comparisons.problems import many_heads
from comparisons.rows import Row, Unit, failed

CONFIGURATIONS = [
    Sizes(batch, width, depth, losses, hidden)
    for depth, width, batch, losses, hidden in product((1, 2, 3), (4, 8), (3, 16), (1, 2, 5), (0, 5))
]
GROUP = 12  # JAX compiles a group's pullbacks as one program, in half the time of one by one


def units(device: str) -> list[Unit]:
    """Six units a side."""
    groups = [CONFIGURATIONS[k : k + GROUP] for k in range(0, len(CONFIGURATIONS), GROUP)]
    return [
        Unit("memory", "sweep", f"many_heads  closed form {k + 1}/{len(groups)}  {side}", partial(take, group, device))
        for side, take in (("torch", in_torch), ("jax", in_jax))
        for k, group in enumerate(groups)
    ]


def in_torch(group: list[Sizes], device: str = "cpu") -> list[Row]:
    """Held bytes of each configuration's graph, and after it is dropped."""
    found = []
    for sizes in group:
        side = sides.torch_side("many_heads", many_heads(**sizes._asdict()), device=device)
        with torch_impl.memory.held(side.params, side.batch) as ledger:
            values = side.losses(side.params)
        held = ledger.bytes
        del values
        found += _rows("torch", sizes, device, held, ledger.bytes)
    return found


def in_jax(group: list[Sizes], device: str = "cpu") -> list[Row]:
    """Held bytes of each configuration's compiled pullback, and after it is dropped."""
    from jax_impl.models.many_heads import losses

    with jax_scope(sides.DTYPE, device):
        made = [sides.jax_side("many_heads", many_heads(**sizes._asdict())) for sizes in group]
        arguments = [(side.params, side.batch) for side in made]
        try:
            found = jax.jit(lambda given: [jax.vjp(losses(batch), params) for params, batch in given])(arguments)
        except Exception as error:
            return [failed(row, error) for sizes in group for row in _rows("jax", sizes, device, 0, 0)]
        ledgers = [jax_impl.memory.held(pullback, side.batch) for (_, pullback), side in zip(found, made, strict=True)]
        held = [ledger.bytes for ledger in ledgers]
        del found
        pairs = zip(group, held, ledgers, strict=True)
        return [row for sizes, size, ledger in pairs for row in _rows("jax", sizes, device, size, ledger.bytes)]


def _rows(framework: str, sizes: Sizes, device: str, held: int, dropped: int) -> list[Row]:
    name = "-".join(f"{key[0]}{value}" for key, value in sizes._asdict().items())
    rows = []
    for phase, size, predicted in (("forward", held, predictions.held(framework, sizes)), ("dropped", dropped, 0)):
        row = {
            "id": f"memory/sweep/{name}/{device}/{framework}/{phase}",
            "problem": "many_heads",
            "sweep": name,
            "framework": framework,
            "device": device,
            "phase": phase,
            "kind": "observed",
            "bytes": size,
            "status": "ok",
        }
        rows.append(judged(row, predicted, "the closed form"))
    return rows
