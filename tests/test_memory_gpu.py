"""On a GPU: what both allocators say, beside the prediction and the simulation."""

import os

import jax
import pytest
import torch

from comparisons.memory import ledger, predictions, sides
from comparisons.memory.predictions import Sizes
from comparisons.problems import SIZES, problem

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch and other processes share the GPU
GPU = torch.cuda.is_available() and any(device.platform == "gpu" for device in jax.devices())
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not GPU, reason="needs an NVIDIA GPU that both frameworks see"),
]
STRATEGIES = ["summed", "per_loss_retained", "per_loss_batched", "per_loss_chunked"]
CELLS = [(name, strategy) for name in ("many_heads", "attention") for strategy in STRATEGIES]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pytorch_holds_what_the_closed_form_says(strategy):
    sizes = Sizes(**SIZES["many_heads"]["default"])
    marks = dict(sides.torch_phases(strategy, sides.torch_side("many_heads", problem("many_heads"), strategy, "cuda")))
    assert marks["forward"] == predictions.phase("torch", strategy, "forward", sizes)
    assert marks["dropped"] == 0


@pytest.mark.parametrize(("name", "strategy"), CELLS)
def test_operators_and_their_workspaces_are_pytorchs_peak(name, strategy):
    """Of which the simulation sees what operators return."""
    (row,) = [row for row in ledger.rows("torch", name, strategy, "large", "cuda") if row["phase"] == "peak"]
    assert row["accounted"] == row["requested"]
    assert 0 < row["simulated"] <= row["requested"]
    assert row["bytes"] == pytest.approx(row["requested"], rel=0.02)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_every_row_of_a_cell_is_there(framework, strategy):
    """JAX's `peak_bytes_in_use` comes from a fresh process, where one preallocated pool counts what is asked for."""
    rows = ledger.rows(framework, "many_heads", strategy, "default", "cuda")
    assert [row for row in rows if row["status"] not in ("ok", "unsupported")] == []
    (peak,) = [row for row in rows if row["phase"] == "peak"]
    assert peak["bytes"] >= peak["arguments"] > 0


@pytest.mark.parametrize("name", ["digits", "attention", "conv"])
def test_jax_takes_what_the_program_plans(name):
    """Each buffer is rounded up to 256 B. At larger sizes XLA tries kernels out for minutes."""
    (row,) = [row for row in ledger.rows("jax", name, "per_loss_retained", "default", "cuda") if row["phase"] == "peak"]
    assert row["planned"] <= row["bytes"] <= 1.02 * row["planned"]
