"""One training loop in both frameworks: the same start, the same data in the same order; NumPy in, NumPy out."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import jax
import numpy as np
import torch

import jax_impl.training
import torch_impl.training
from comparisons.frameworks import jax_scope
from comparisons.layout import Arrays, Layout, from_flax, linear, to_flax
from comparisons.problems import digits, draw, images

WIDTH, BATCH = 16, 16


class Course(NamedTuple):
    """What a loop is trained on: the parameters' layout, the batches in order, and the model where it takes one."""

    layout: Layout
    batches: list[Arrays]
    model: str | None = None


def classify(steps: int) -> Course:
    """The digits problem with its four losses; a new order of the 1797 images each time through."""
    data, rng = images(1797), np.random.default_rng(5)
    order = np.concatenate([rng.permutation(1797) for _ in range(1 + steps * BATCH // 1797)])
    picked = order[: steps * BATCH].reshape(steps, BATCH)
    return Course(digits(1, WIDTH).layout, [{k: v[rows] for k, v in data.items()} for rows in picked], "digits")


def play(steps: int) -> Course:
    """Digit images and noise for a generator 8 -> 64 and a discriminator 64 -> 1."""
    layout = {"generator.l1": linear(8, WIDTH), "generator.l2": linear(WIDTH, 64)}
    layout |= {"discriminator.l1": linear(64, WIDTH), "discriminator.l2": linear(WIDTH, 1)}
    noise = np.random.default_rng(6).standard_normal((steps, BATCH, 8))
    pairs = zip(classify(steps).batches, noise, strict=True)
    return Course(layout, [{"images": batch["images"], "noise": z} for batch, z in pairs])


def read(steps: int) -> Course:
    """Digit images one after the other, row by row: each batch is one image of 16 that are read side by side."""
    layout = {"read": linear(8, WIDTH, bias=False), "state": linear(WIDTH, WIDTH), "predict": linear(WIDTH, 8)}
    rows = np.stack([b["images"] for b in classify(steps + 1).batches], 1).reshape(BATCH, -1, 8)
    cut = [slice(8 * t, 8 * t + 8) for t in range(steps)]
    following = rows[:, 1:]
    return Course(layout, [{"rows": rows[:, s], "following": following[:, s]} for s in cut])


LOOPS: dict[str, Callable[[int], Course]] = {
    "multi_task": classify,
    "surgery": classify,
    "alternating": classify,
    "accumulation": classify,
    "inspected": classify,
    "gan_wrong": play,
    "gan_wrong_retained": play,
    "gan_retained": play,
    "gan_detached": play,
    "gan_one_forward": play,
    "truncated": read,
    "truncated_accumulated": read,
    "truncated_wrong": read,
    "truncated_wrong_retained": read,
}


class Run(NamedTuple):
    """Every parameter after the last step, and what was logged at each, flat: `{"digit/value": (steps,)}`."""

    params: Arrays
    log: Arrays


def in_torch(loop: str, steps: int = 100, nudge: float = 0.0, **options: Any) -> Run:
    """The loop in PyTorch, float64. `nudge` moves every parameter's start, relative to the largest of its array."""
    course = LOOPS[loop](steps)
    params = {k: torch.tensor(v, requires_grad=True) for k, v in start(course.layout, nudge).items()}
    batches = [{k: torch.tensor(v) for k, v in batch.items()} for batch in course.batches]
    params, log = getattr(torch_impl.training, loop)(*_model("torch_impl", course), params, batches, **options)
    return Run({k: p.detach().numpy() for k, p in params.items()}, _flat(log))


def in_jax(loop: str, steps: int = 100, nudge: float = 0.0, **options: Any) -> Run:
    """The loop in JAX, float64, its parameters back in PyTorch's names and layouts."""
    course = LOOPS[loop](steps)
    with jax_scope("float64", "cpu"):
        params = {k: jax.numpy.asarray(v) for k, v in to_flax(start(course.layout, nudge), course.layout).items()}
        batches = [{k: jax.numpy.asarray(v) for k, v in batch.items()} for batch in course.batches]
        params, log = getattr(jax_impl.training, loop)(*_model("jax_impl", course), params, batches, **options)
        return Run(from_flax({k: np.asarray(p) for k, p in params.items()}, course.layout), _flat(log))


def start(layout: Layout, nudge: float = 0.0) -> Arrays:
    """The parameters before the first step."""
    rng = np.random.default_rng(9)
    return {k: v + nudge * abs(v).max() * rng.choice((-1.0, 1.0), v.shape) for k, v in draw(layout, seed=0).items()}


def drift(actual: Run, expected: Run) -> float:
    """The largest difference in a parameter or a logged number, relative to the largest of its array."""
    pairs = [(getattr(actual, f)[k], v) for f in ("params", "log") for k, v in getattr(expected, f).items()]
    return max(float(abs(a - e).max() / abs(e).max()) for a, e in pairs)


def _model(side: str, course: Course) -> tuple:
    return (import_module(f"{side}.models.{course.model}").losses,) if course.model else ()


def _flat(log: list[dict]) -> Arrays:
    """Numbers by name, in the order of the steps."""
    found: dict[str, list[float]] = {}
    for step in log:
        for name, entry in step.items():
            for key, value in entry.items() if isinstance(entry, dict) else (("", entry),):
                found.setdefault(f"{name}/{key}".removesuffix("/"), []).append(float(value))
    return {name: np.array(values) for name, values in found.items()}
