"""Interleaved timing, judged by a clock that the test turns itself."""

import gc

import pytest

from comparisons.cost import timing


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def call(name, seconds, log):
        def run():
            now[0] += seconds() if callable(seconds) else seconds
            log.append(name)

        return run

    return call


def test_a_machine_that_slows_down_moves_no_ratio(clock):
    load = [1.0]

    def slower(seconds):
        def drift():
            load[0] *= 1.0001
            return seconds * load[0]

        return drift

    calls = {"a": clock("a", slower(1.0), []), "b": clock("b", slower(3.0), [])}
    found = timing.ratio(timing.interleaved(calls, seconds=0, rounds=9), "b", "a")
    assert found.median == pytest.approx(3, rel=1e-3)
    assert found.low <= found.median <= found.high


def test_rounds_interleave_and_the_order_turns(clock):
    log: list[str] = []
    calls = {name: clock(name, 1.0, log) for name in "abc"}
    timing.interleaved(calls, seconds=0, rounds=3)
    assert "".join(log[-12:]) == "a" + "abc" + "b" + "bca" + "c" + "cab"  # each round's first once more, untimed


def test_a_short_call_repeats_within_its_sample(clock):
    log: list[str] = []
    found = timing.interleaved({"short": clock("short", timing.SHORTEST / 50, log)}, seconds=0, rounds=5)
    assert found["short"] == pytest.approx([timing.SHORTEST / 50] * 5)
    assert len(log) == 2 + 5 * (1 + 50)


def test_rounds_go_on_until_the_time_has_passed(clock):
    assert len(timing.interleaved({"a": clock("a", 0.5, [])}, seconds=10, rounds=2)["a"]) == 10


def test_the_collector_is_on_again_whatever_happens(clock):
    def breaks():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        timing.interleaved({"a": breaks})
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_what_was_there_before_is_no_work_for_the_collector():
    counts: list[int] = []
    timing.interleaved({"a": lambda: counts.append(gc.get_freeze_count())}, seconds=0)
    assert min(counts) > 0
