"""What a product costs: FLOPs to the last one, held bytes, the published table, and rows that time never fails."""

import json
from functools import cache

import jax
import numpy as np
import pytest
import torch

import jax_impl.cost
from comparisons.higher_order import anomaly, cost_tables, counts, held, profiles, programs, published, ratios
from comparisons.higher_order.counts import MODES, predicted
from comparisons.problems import BUILD
from comparisons.rows import Row


@cache
def measured(name: str, way: str) -> list[Row]:
    return ratios.rows(name, way, "tiny", seconds=0)


CELLS = [
    pytest.param(name, way, marks=pytest.mark.xdist_group(f"ratios {name} {way}"), id=f"{name} {way}")
    for name, way in [*((name, "eager") for name in ratios.SIZES), ("many_heads", "jit")]
]


@pytest.mark.parametrize(("name", "way"), CELLS)
def test_rows_hold_and_time_is_never_a_status(name, way):
    rows = measured(name, way)
    cost = {row["strategy"]: row for row in rows if row["kind"] == "cost"}
    assert set(cost) == set(programs.RUNS)
    assert {row["status"] for row in cost.values()} == {"ok"}
    for mode in MODES:
        row = cost[mode]
        assert row["flop_ratio"] == row["predicted"] / cost["summed"]["predicted"]
        assert row["achieved"] == pytest.approx(row["flop_ratio"] / row["time_ratio"])
        assert row["spread"][0] <= row["time_ratio"] <= row["spread"][1]
        assert row["peak_ratio"] > 1
        assert ("target" in row) == (name in ratios.TARGETED)
        assert ("cause" in row) == (not row.get("met", True))
    assert [row["time_ratio"] for row in cost.values() if row.get("fastest")] == [
        min(cost[mode]["time_ratio"] for mode in MODES)
    ]
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)
    json.dumps(rows, allow_nan=False)


SHAPES = [
    ("many_heads", {"batch": 3, "width": 4, "depth": 1, "losses": 1}),
    ("many_heads", {"batch": 5, "width": 6, "depth": 3, "losses": 2, "hidden": 3}),
    ("conv", {"batch": 2, "width": 6}),
    ("attention", {"batch": 3, "width": 4, "depth": 2}),
]


@pytest.mark.parametrize(("name", "sizes"), SHAPES)
@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_flops_are_predicted_to_the_last_one(mode, name, sizes):
    """JAX's are counted from the trace: nothing is compiled."""
    problem = BUILD[name](**sizes)
    if mode == "eager":
        found = {run: program.flops() for run, program in programs.eager(name, problem, "cpu").items()}
    else:
        functions, arguments = programs.jax_functions(name, problem)
        found = {run: jax_impl.cost.flops(function, *arguments) for run, function in functions.items()}
    assert found == {run: predicted(mode, run, name, problem) for run in programs.RUNS}


def test_a_wrong_prediction_is_a_row_that_differs(monkeypatch):
    monkeypatch.setitem(counts.COUNT, "many_heads", lambda problem: counts.many_heads(problem)._replace(first=0))
    rows = ratios.rows("many_heads", "eager", "tiny", seconds=0)
    assert {row["status"] for row in rows if row["kind"] == "cost"} == {"differs"}
    assert "DIFFERS" in str(cost_tables.ratios(rows).lines)


def test_create_graph_holds_both_recordings():
    rows = {row["strategy"]: row for row in measured("many_heads", "eager") if row["kind"] == "memory"}
    assert rows["hvp_reverse_over_reverse"]["bytes"] > 2 * rows["summed"]["bytes"]
    assert rows["hvp_forward_over_reverse"]["status"] == "unsupported"
    assert "torch.func" in rows["hvp_forward_over_reverse"]["reason"]


def test_a_peak_below_what_is_held_differs():
    costs = [row | {"peak": 8} for row in measured("many_heads", "eager") if row["kind"] == "cost"]
    problem = BUILD["many_heads"](**ratios.SIZES["many_heads"]["tiny"])
    rows = {row["strategy"]: row["status"] for row in held.rows("torch", "many_heads", problem, costs)}
    assert rows["summed"] == rows["hvp_reverse_over_reverse"] == "differs"


def test_without_a_compiler_compiled_pytorch_is_not_measured(monkeypatch):
    monkeypatch.setattr(ratios, "compiler", lambda: None)
    (row,) = ratios.rows("many_heads", "compile", "tiny")
    assert (row["status"], row["reason"]) == ("not_measured", "no C++ compiler")
    assert [line[2:4] for line in cost_tables.ratios([row]).lines] == [["not measured", "no C++ compiler"]]


def test_compiled_pytorch_is_for_the_full_run():
    ways = {full: {unit.label.split()[-1] for unit in ratios.units(full)} for full in (False, True)}
    assert ways == {False: {"eager", "jit"}, True: {"eager", "compile", "jit"}}


@pytest.mark.parametrize("mode", programs.RUNS)
def test_the_functional_forms_that_are_compiled_give_the_same(mode):
    torch.manual_seed(0)
    params, along = ({"w": torch.randn(3, dtype=torch.float64)} for _ in range(2))
    found = programs.FUNCTIONAL[mode](lambda p: (p["w"] ** 4).sum(), params, along)["w"]
    w, v = params["w"], along["w"]
    torch.testing.assert_close(found, 4 * w**3 if mode == "summed" else 12 * w**2 * v)


def test_the_published_ratios_are_cited_beside_what_is_counted():
    rows = published.rows()
    assert len(rows) == 18
    assert {row["source"] for row in rows} == {published.SOURCE}
    table = cost_tables.published(rows + measured("many_heads", "eager"))
    assert len(table.lines) == 6
    assert "4.02/3.00" in table.lines[2]


def test_a_product_inside_a_fusion_is_found():
    text = """%inner (a: f32[2]) -> f32[2] {
  %a = f32[2]{0} parameter(0)
  ROOT %dot.1 = f32[2]{0} dot(%a, %a), lhs_contracting_dims={0}
}

ENTRY %main (b: f32[2]) -> f32[2] {
  %b = f32[2]{0} parameter(0)
  %plain.1 = f32[2]{0} add(%b, %b)
  ROOT %fusion.2 = f32[2]{0} fusion(%plain.1), kind=kCustom, calls=%inner
}
"""
    assert profiles.in_products(text) == {"dot.1", "fusion.2"}


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_where_the_time_goes_finds_the_products(side):
    if side == "torch":
        a = torch.ones(256, 256)
        call, text, profile = lambda: (a @ a).tanh(), "", profiles.profile_torch
    else:
        a = jax.numpy.ones((256, 256), "float32")
        program = jax.jit(lambda a: jax.numpy.tanh(a @ a)).lower(a).compile()
        call, text, profile = lambda: jax.block_until_ready(program(a)), program.as_text(), profiles.profile_jax
    call()
    found = profile(programs.Program(call, lambda: 0, lambda: 0, None, text))
    assert found["products"] > 0
    assert len(found) > 1


@pytest.mark.parametrize("kernel", anomaly.KERNELS)
def test_the_anomaly_is_one_product_in_two_ways(kernel):
    (row,) = anomaly.rows(kernel, batch=2, seconds=0)
    assert row["status"] == "ok"
    assert row["error"] <= 1e-5
    assert row["flop_factor"] == (anomaly.IMAGE / kernel) ** 2
    assert row["factor"] > 0
    assert row["transposed_twice"] != row["transposed_once"]


def test_two_ways_that_differ_are_a_row_that_differs(monkeypatch):
    right = anomaly.transposed_twice

    def transposed_twice(x, w, dy):
        return 1.001 * right(x, w, dy)

    monkeypatch.setattr(anomaly, "transposed_twice", transposed_twice)
    (row,) = anomaly.rows(1, batch=2, seconds=0)
    assert row["status"] == "differs"


@pytest.mark.gpu
@pytest.mark.parametrize("name", ratios.SIZES)
@pytest.mark.parametrize("way", ["eager", "jit"])
def test_the_rows_hold_on_a_gpu(name, way):
    if not torch.cuda.is_available() or not any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("PyTorch and JAX do not both see a GPU")
    rows = ratios.rows(name, way, "tiny", "cuda", seconds=0)
    assert [row["reason"] for row in rows if row["status"] not in ("ok", "unsupported")] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what inductor warns of while it compiles is its own
@pytest.mark.skipif(not ratios.compiler(), reason="inductor needs a C++ compiler: none found")
@pytest.mark.parametrize("name", ratios.SIZES)
def test_all_modes_compile(name):
    rows = ratios.rows(name, "compile", "tiny", seconds=0)
    assert [row["status"] for row in rows] == ["ok"] * len(programs.RUNS), rows
    assert np.isfinite([row["compile_seconds"] for row in rows]).all()
