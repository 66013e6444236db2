"""Ours against the peers: the same gradients first, then time and bytes, in one interleaved run."""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

import jax
import torch

import jax_impl.cost
import jax_impl.first_order.choice
import jax_impl.gram
import jax_impl.memory
import torch_impl.cost
import torch_impl.first_order.choice
import torch_impl.gram
import torch_impl.memory
from comparisons.cost import calls, leads, peers
from comparisons.cost.leads import ENGINE, FORWARD, GRAM, NEEDS, OURS, Key
from comparisons.cost.regimes import Place
from comparisons.cost.timing import interleaved, ratio
from comparisons.difference import TOLERANCE, difference
from comparisons.memory import predictions, sides
from comparisons.memory.predictions import Sizes
from comparisons.memory.sides import Side
from comparisons.rows import Row, failed
from comparisons.scenarios import REFERENCE
from comparisons.testing import as_numpy
from torch_impl.aggregation import gramian

Run = Callable[[], object]
TIMED = [("torch", name) for name in ("summed", FORWARD, *OURS["torch"], GRAM)]
TIMED += [("jax", name) for name in ("summed", *OURS["jax"], GRAM)]


def rows(
    at: Place, named: Iterable[str] = tuple(NEEDS), device: str = "cpu", seconds: float = 2.0, rounds: int = 7
) -> list[Row]:
    """A row a call, then a row a target. PyTorch's are timed only if they are right in float64."""
    wanted = TIMED + [("torch", name) for name in named]
    found = {key: _row(at, *key, device) for key in wanted}
    made: dict[Key, Run] = {}
    with calls.scope(device):
        for key in wanted:
            try:
                found[key] |= _checked(at, *key, device)
                if found[key]["status"] == "ok":
                    made[key], measured = (_torch if key[0] == "torch" else _jax)(at, key[1], device)
                    found[key] |= measured
            except Exception as error:  # whatever a peer raises is its result
                made.pop(key, None)
                found[key] = failed(found[key], error)
        samples = interleaved(made, seconds, rounds)
        chosen = {
            "torch": torch_impl.first_order.choice.fastest(*_side(at, device)[:2]).__name__,
            "jax": jax_impl.first_order.choice.fastest(*sides.jax_side(at.name, at.stated)[:2]).__name__,
        }
    for key in made:
        found[key]["seconds"] = median(samples[key])
        if (key[0], "summed") in made:
            spread = ratio(samples, key, (key[0], "summed"))
            found[key] |= {"time_ratio": spread.median, "spread": [spread.low, spread.high]}
    head = {"regime": at.regime, "losses": at.losses, "device": device, "status": "ok"}
    label = f"cost/peers/{at.regime}/{at.losses}/{device}/target"
    judged = enumerate(leads.targets(found, samples, chosen))
    return [*found.values(), *({"id": f"{label}/{k}"} | head | row for k, row in judged)]


def _row(at: Place, framework: str, call: str, device: str) -> Row:
    name = call.replace(", ", "-").replace(" ", "")
    head = {"id": f"cost/peers/{at.regime}/{at.losses}/{name}/{device}/{framework}", "kind": "peer"}
    return head | {"regime": at.regime, **at.sizes, "call": call, "framework": framework, "device": device}


def _side(at: Place, device: str, dtype: str = "float32") -> Side:
    return sides.torch_side(at.name, at.stated, device=device, dtype=dtype)


def _checked(at: Place, framework: str, name: str, device: str) -> Row:
    """Whether the call gives the reference's gradients, or their inner products, in float64."""
    needs = NEEDS.get(name, framework)
    if not find_spec(needs):
        return {"status": "not_measured", "reason": f"{needs} is not installed: pip install 'gradparity[peers]'"}
    if framework == "jax" or name in ("summed", FORWARD, REFERENCE):
        return {"status": "ok"}  # the grid of gradients judges these
    side = _side(at, device, "float64")
    expected: Any = sides.run(REFERENCE, side)()
    found: Any = _take(name, side)()
    if name in (GRAM, ENGINE):
        whole = {
            loss: {n: torch.zeros_like(p) if grads[n] is None else grads[n] for n, p in side.params.items()}
            for loss, grads in expected.items()
        }
        found, expected = ({GRAM: {"products": products}} for products in (found, gramian(whole)))
    elif name in peers.PEERS:
        found = peers.PEERS[name].by_loss(side.losses, side.params, found)
    worst = difference(_numpy(found), _numpy(expected)).pairs[0]
    if worst.equal:
        return {"status": "ok", "relative_error": worst.relative_error}
    off = f"off by {worst.relative_error:.1e} of leaf scale (allowed {TOLERANCE})"
    return {"status": "differs", "reason": f"d {worst.loss} / d {worst.parameter} is {off}"}


def _numpy(grads) -> dict:
    return {loss: {name: as_numpy(g) for name, g in own.items()} for loss, own in grads.items()}


def _take(name: str, side: Side) -> Run:
    if name == ENGINE:
        return peers.engine(side)
    if name == GRAM:
        return lambda: torch_impl.gram.gram(side.losses, side.params)
    if name == FORWARD:
        return lambda: side.losses(side.params)
    if name in peers.PEERS:
        return lambda: peers.PEERS[name].take(side.losses, side.params)
    return sides.run(name, side)


def _torch(at: Place, name: str, device: str) -> tuple[Run, Row]:
    side = _side(at, device)
    take = _take(name, side)
    take()
    peers.clear(side.params)
    peak = torch_impl.memory.peak(take, device)
    trunk = sum(p.nbytes for key, p in side.params.items() if key.startswith("trunk."))
    heads = sum(p.nbytes for p in side.params.values()) - trunk
    return lambda: torch_impl.cost.ready(take()), _bytes(at, "torch", name, peak, at.losses * trunk + heads)


def _jax(at: Place, name: str, device: str) -> tuple[Run, Row]:
    if name == GRAM:
        losses, side = import_module(f"jax_impl.models.{at.name}").losses, sides.jax_side(at.name, at.stated)
        run = jax.jit(lambda batch, params: jax_impl.gram.gram(losses(batch), params))
        plan = jax_impl.memory.peak(run, side.batch, side.params)
        return lambda: jax_impl.cost.ready(run(side.batch, side.params)), {"peak": plan.peak - plan.argument}
    made = calls.program(at, name, device)
    measured = _bytes(at, "jax", name, made.plan.peak - made.plan.argument, made.plan.output)
    return lambda: jax_impl.cost.ready(made.run(*made.arguments)), measured


def _bytes(at: Place, framework: str, name: str, peak: int, gradients: int) -> Row:
    """The peak beyond the arguments; for gradients of each loss, what of it is neither they nor residuals."""
    if not name.startswith(("per_loss", "torchjd.jac", "torchjd.mtl", "torch.func")):
        return {"peak": peak}
    held = predictions.held(framework, Sizes(**at.sizes))
    found = {"peak": peak, "gradients": gradients, "held": held, "gradient": gradients / at.losses}
    return found | {"scratch": peak - gradients - held}
