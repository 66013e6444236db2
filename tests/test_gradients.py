"""The grid, computed once and asserted row by row: every problem, strategy and loss."""

from functools import cache

import numpy as np
import pytest

from comparisons.gradients import rows, tables
from comparisons.problems import SIZES, problem
from comparisons.scenarios import REFERENCE, STRATEGIES, Cell, cells

cell_rows = cache(lambda cell: rows(cell, "tiny"))


def _losses(cell: Cell) -> tuple[str, ...]:
    return ("total",) if STRATEGIES[cell.strategy].gives == "total" else problem(cell.problem, "tiny").losses


def _cases(dtype: str) -> list:
    found = []
    for cell in cells(full=True, dtypes=(dtype,)):
        if dtype == "float32" and cell.strategy not in ("summed", REFERENCE):
            continue
        mode = "" if cell.jit else "-no jit"
        for loss in _losses(cell):
            name = f"{cell.problem}-{cell.strategy}-{loss}{mode}"
            found.append(pytest.param(cell, loss, id=name, marks=pytest.mark.xdist_group(cell.problem)))
    return found


@pytest.mark.parametrize(("cell", "loss"), _cases("float64"))
def test_the_sides_and_the_strategies_agree(cell, loss):
    found = [row for row in cell_rows(cell) if row.get("loss") == loss]
    gives = STRATEGIES[cell.strategy].gives
    expected = {gives} if gives in ("along", "features") else set(problem(cell.problem, "tiny").params)
    assert {row["parameter"] for row in found} == expected, [row.get("reason") for row in cell_rows(cell)]
    for row in found:
        assert row["status"] == "ok", row
        assert row["relative_error"] <= 1e-12
        if gives != "features":
            assert max(row["within_torch"], row["within_jax"]) <= 1e-12


@pytest.mark.parametrize(("cell", "loss"), _cases("float32"))
def test_float32_is_measured_for_each_side(cell, loss):
    found = [row for row in cell_rows(cell) if row.get("loss") == loss]
    assert {row["framework"] for row in found} == {"torch", "jax"}
    assert all(row["status"] == "ok" and np.isfinite(row["eps"]) for row in found)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.xdist_group(n)) for n in SIZES])
def test_no_gradient_of_the_grid_is_zero_altogether(name):
    """An all-zero gradient would agree with anything."""
    for row in cell_rows(Cell(name, "summed")):
        assert row["scale"] > 0


@pytest.mark.xdist_group("digits")
@pytest.mark.parametrize(
    ("strategy", "unused"), [(REFERENCE, "torch"), ("per_loss_recomputed", "torch"), ("per_loss_batched", None)]
)
def test_an_unused_parameter_is_none_one_by_one_and_zeros_when_batched(strategy, unused):
    """`decay` touches no bias; the digit loss touches no other head."""
    found = {(row["loss"], row["parameter"]): row["unused"] for row in cell_rows(Cell("digits", strategy))}
    assert found["decay", "trunk.l1.bias"] == unused
    assert found["digit", "pixels.weight"] == unused
    assert found["digit", "digit.weight"] is None


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # `vmap` takes a GPU's LSTM cell entry by entry
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_grid_holds_on_a_gpu(name, strategy):
    import jax
    import torch

    if not torch.cuda.is_available() or not any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("PyTorch and JAX do not both see a GPU")
    for dtype in ("float64", "float32"):
        found = rows(Cell(name, strategy, dtype), "tiny", "cuda")
        assert [row["reason"] for row in found if row["status"] not in ("ok", "unsupported")] == []


def test_ids_are_unique_and_stable():
    found = [row["id"] for cell in cells(problems=("lesson",)) for row in cell_rows(cell)]
    assert len(found) == len(set(found))
    assert "gradients/lesson/summed/float64/tiny/cpu/jit/total/w" in found


def test_the_table_offers_what_both_sides_define():
    import jax_impl.first_order
    import torch_impl.first_order

    assert set(STRATEGIES) == set(torch_impl.first_order.__all__) == set(jax_impl.first_order.__all__)


def test_every_strategy_runs_on_the_digits_and_the_main_ones_everywhere():
    default = set(cells())
    assert {Cell("digits", name) for name in STRATEGIES} <= default
    assert {Cell(p, name) for p in SIZES for name, strategy in STRATEGIES.items() if strategy.main} <= default
    assert default < set(cells(full=True))


@pytest.mark.parametrize(
    ("says", "status", "shown"),
    [
        ("use forward AD with f that does not support it because it has not been implemented yet.", "unsupported", "-"),
        ("to be done", "failed", "FAILED"),
    ],
)
def test_what_pytorch_has_not_implemented_is_unsupported_and_a_fault_of_ours_is_not(monkeypatch, says, status, shown):
    def lacking(losses, params):
        raise NotImplementedError(says)

    monkeypatch.setattr("torch_impl.first_order.per_loss_one_hot", lacking)
    found = rows(Cell("lesson", "per_loss_one_hot"), "tiny")
    assert [row["status"] for row in found] == [status]
    (table,) = tables(found)
    assert table.lines[0] == ["per_loss_one_hot", shown]
