"""Reverse over reverse through a convolution on XLA's CPU: one product, written in two ways, at very different speeds.

The products of `<convolve(x, w), dy>` are linear in each of three arrays. Its derivative with respect to x is the
same whether one transposes the convolution in x (as a gradient does), or first in w and then in x (as a gradient of a
gradient does). JAX writes the second with `dy` as the kernel, as large as the image, and `w` padded to meet it.
"""

import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array, lax

from comparisons.cost.timing import interleaved, ratio
from comparisons.frameworks import jax_scope
from comparisons.rows import Row, Unit, failed
from jax_impl.cost import flops, ready

BATCH, IMAGE, CHANNELS, KERNELS = 16, 16, 16, (3, 1)


def convolve(x: Array, w: Array) -> Array:
    """x (batch, height, width, in), w (kernel, kernel, in, out)."""
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def transposed_once(x: Array, w: Array, dy: Array) -> Array:
    """What a gradient does."""
    return jax.linear_transpose(lambda x: convolve(x, w), x)(dy)[0]


def transposed_twice(x: Array, w: Array, dy: Array) -> Array:
    """What a gradient of a gradient does: the weights' gradient, transposed."""
    gradient = lambda x: jax.linear_transpose(lambda w: convolve(x, w), w)(dy)[0]  # noqa: E731
    return jax.linear_transpose(gradient, x)(w)[0]


def units(device: str = "cpu") -> list[Unit]:
    return [Unit("higher_order", "anomaly", f"convolution  {k} x {k}", partial(rows, k, device)) for k in KERNELS]


def rows(kernel: int, device: str = "cpu", batch: int = BATCH, image: int = IMAGE, seconds: float = 0.5) -> list[Row]:
    """How much longer the second way takes, the products that it is written with, and what XLA made of it.

    The two results must be equal to float32. Time is never a status.
    """
    row: Row = {"id": f"higher_order/anomaly/{kernel}x{kernel}/{device}", "kind": "anomaly", "framework": "jax"}
    row |= {"device": device, "kernel": kernel, "order": 2, "status": "ok"}
    rng = np.random.default_rng(0)
    shapes = ((batch, image, image, CHANNELS), (kernel, kernel, CHANNELS, CHANNELS), (batch, image, image, CHANNELS))
    try:
        with jax_scope("float32", device):
            arrays = [jax.numpy.asarray(rng.standard_normal(shape), "float32") for shape in shapes]
            made = {way.__name__: _compiled(way, arrays) for way in (transposed_once, transposed_twice)}
            calls = {way: partial(_run, program, arrays) for way, (program, _) in made.items()}
            samples = interleaved(calls, seconds)
            once, twice = (np.asarray(program(*arrays)) for program, _ in made.values())
            counted = [flops(way, *arrays) for way in (transposed_once, transposed_twice)]
    except Exception as error:  # whatever JAX raises is this row's result
        return [failed(row, error)]
    time = ratio(samples, "transposed_twice", "transposed_once")
    row |= {"factor": time.median, "spread": [time.low, time.high], "flop_factor": counted[1] / counted[0]}
    row |= {way: "; ".join(convolutions(program.as_text())) for way, (program, _) in made.items()}
    row |= {"loops": [way for way, (_, loop) in made.items() if loop]}
    off = float(abs(once - twice).max() / abs(once).max())
    row |= {"error": off}
    if not off <= 1e-5:
        row |= {"status": "differs", "reason": f"the two ways differ by {off:.1e} of the largest entry"}
    return [row | {"cause": cause(row)}]


def _compiled(way: Callable, arrays: list[Array]) -> tuple[Any, bool]:
    """The program, and whether XLA's CPU emitted a loop for a convolution instead of calling Eigen's: its dump says."""
    with tempfile.TemporaryDirectory() as folder:
        program = jax.jit(way).lower(*arrays).compile(compiler_options={"xla_dump_to": folder})
        return program, any("convolution" in f.name and "elemental" in f.name for f in Path(folder).iterdir())


def _run(program, arrays: list[Array]):
    return ready(program(*arrays))


def convolutions(text: str) -> list[str]:
    """Window and layout of every convolution in a compiled program; one of a single pixel may be a matrix product."""
    found = re.findall(r"convolution\(.*?\), window=\{(.*?)\}, dim_labels=([\w>-]+)", text)
    return [f"{window}, {labels}" for window, labels in found] or ["no convolution"]


def cause(row: Row) -> str:
    """What the compiled program shows: what the second way was lowered to."""
    if row["loops"] == ["transposed_twice"]:
        return (
            "XLA swaps the operands back, which leaves a reversed window in another layout: not a form for which its "
            "CPU calls Eigen's convolution, so it emits a loop"
        )
    if f"size={IMAGE}x{IMAGE}" in row["transposed_twice"]:
        return "XLA keeps the image-sized kernel: nearly all of its products are with padding"
    return "" if row["factor"] < 2 else "not known: the compiled convolutions are in this row"
