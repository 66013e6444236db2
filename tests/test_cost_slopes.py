"""Fitted slopes: exact on a line, named when off it, and taken from the samples of one run."""

import pytest

from comparisons.cost import sweeps, times
from comparisons.cost.regimes import place


def test_a_line_is_found_again():
    line = sweeps.fit([1, 2, 4, 8], [0.5 + 0.25 * x for x in (1, 2, 4, 8)])
    assert line == pytest.approx((0.5, 0.25, 0))


def test_a_curve_is_off_its_line():
    assert sweeps.fit([1, 2, 4, 8], [x**2 for x in (1, 2, 4, 8)]).miss > 0.5


@pytest.fixture
def clock(monkeypatch):
    """Samples without a clock: `seconds[key]` in every round."""

    def set_to(seconds):
        def interleaved(calls, *_, **__):
            return {key: [seconds(key)] * 5 for key in calls}

        monkeypatch.setattr(sweeps, "interleaved", interleaved)
        monkeypatch.setattr(times, "interleaved", interleaved)

    return set_to


def test_a_sweep_fits_times_and_flops(clock):
    clock(lambda key: 1.0 if key[0] == "summed" else 0.4 + 0.6 * key[1])
    summed, retained = sweeps.rows("torch", "overhead", "losses", (1, 2, 3), ("per_loss_retained",))
    assert summed["slope"] == pytest.approx(0)
    assert retained["time_ratios"] == pytest.approx([1.0, 1.6, 2.2])
    assert (retained["intercept"], retained["slope"]) == pytest.approx((0.4, 0.6))
    layer, head = 2 * 32 * 64 * 64, 2 * 32 * 64  # the trunk's three layers, and one head
    assert retained["flop_slope"] == pytest.approx((5 * layer + 3 * head) / (8 * layer + 3 * head))


def test_a_strategy_that_fails_is_its_own_row(clock, monkeypatch):
    clock(lambda key: 1.0)
    right = sweeps.calls.MODES["eager"]

    def breaks(at, strategy, device):
        if strategy == "per_loss_batched":
            raise RuntimeError("no room")
        return right[1](at, strategy, device)

    monkeypatch.setitem(sweeps.calls.MODES, "eager", ("torch", breaks))
    rows = sweeps.rows("torch", "overhead", "losses", (1, 2), ("per_loss_batched", "per_loss_split"))
    assert [(row["strategy"], row["status"]) for row in rows] == [
        ("summed", "ok"),
        ("per_loss_batched", "failed"),
        ("per_loss_split", "ok"),
    ]
    assert rows[1]["reason"] == "RuntimeError: no room"
    assert "slope" in rows[2]


def test_ratios_are_to_the_same_side_and_jax_is_measured_against_pytorchs_fastest(clock, monkeypatch):
    seconds = {
        ("eager", "summed"): 2.0,
        ("eager", "per_loss_retained"): 6.0,
        ("eager", "per_loss_split"): 5.0,
        ("jit", "summed"): 1.0,
        ("jit", "per_loss_retained"): 4.0,
        ("jit", "per_loss_split"): 10.0,
    }
    clock(seconds.__getitem__)
    at = place("overhead", 2, batch=4, width=4, depth=1)
    rows = times.rows(at, ("per_loss_retained", "per_loss_split"), half=("summed",))
    found = {(row["mode"], row["strategy"]): row for row in rows}
    assert all(row["status"] == "ok" for row in rows)
    assert found["eager", "per_loss_retained"]["time_ratio"] == 3
    assert found["jit", "per_loss_retained"]["time_ratio"] == 4
    assert found["jit", "per_loss_retained"]["rival"] == "per_loss_split"
    assert found["jit", "per_loss_retained"]["against_torch"] == pytest.approx(4 / 5)
    assert found["jit", "per_loss_split"]["against_torch"] == pytest.approx(2)
    row = found["eager", "per_loss_retained"]
    assert row["efficiency"] == pytest.approx(row["flop_ratio"] / 3)
    assert all(0 <= row["in_products"] <= 1 for row in rows)
    assert all(row["eps"] < 1000 for row in rows)
    assert [row["strategy"] for row in rows if "eps_bfloat16" in row] == ["summed", "summed"]
    assert [row["compile_seconds"] is None for row in rows] == [True] * 3 + [False] * 3
