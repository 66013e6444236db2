"""Ours beside the peers: right before timed, bytes to the byte, targets with their cause, a rule that chooses."""

import gc
import sys
from functools import partial
from importlib import import_module

import jax
import pytest

import jax_impl.first_order
import jax_impl.first_order.choice
import jax_impl.memory
import torch_impl.first_order
import torch_impl.first_order.choice
import torch_impl.memory
from comparisons import cli
from comparisons.cost import against, leads, peers
from comparisons.cost.regimes import Place, place
from comparisons.memory import predictions, sides
from comparisons.memory.predictions import Sizes
from comparisons.problems import many_heads, problem
from comparisons.testing import assert_gradients_match

TINY = Place("overhead", (("batch", 4), ("width", 8), ("losses", 3)))
pytestmark = pytest.mark.xdist_group("peers")


def needs_torchjd(name: str) -> None:
    if leads.NEEDS.get(name) == "torchjd":
        pytest.importorskip("torchjd", reason="torchjd is not installed: it is one of the peers")


@pytest.mark.parametrize("chunk", [1, 2, 3, 9])
def test_every_chunk_of_grouped_gives_the_gradients_one_by_one(chunk):
    """`digits` has losses that share parameters and one that reads no feature."""
    side = sides.torch_side("digits", problem("digits", "tiny"), dtype="float64")
    expected = torch_impl.first_order.per_loss_retained(side.losses, side.params)
    found = torch_impl.first_order.per_loss_grouped(side.losses, side.params, chunk)
    assert_gradients_match(found, expected, tolerance=1e-14)
    assert all(p.grad is None for p in side.params.values())


@pytest.mark.parametrize("framework", [torch_impl.first_order, jax_impl.first_order], ids=["torch", "jax"])
def test_an_empty_group_is_refused(framework):
    with pytest.raises(ValueError, match=r"`chunk` must be at least 1 \(got 0\)"):
        framework.per_loss_grouped(None, {}, chunk=0)


def torch_scratch(strategy, stated, **options) -> int:
    """The bytes that the peak has beyond the gradients."""
    side = sides.torch_side("many_heads", stated)
    take = partial(getattr(torch_impl.first_order, strategy), side.losses, side.params, **options)
    take()
    peak = torch_impl.memory.peak(take)
    gradients = {g.untyped_storage()._cdata: g.untyped_storage().nbytes() for g in leaves(take())}
    return peak - sum(gradients.values())


def leaves(found):
    return [g for grads in found.values() for g in grads.values() if g is not None]


def test_beyond_the_gradients_grouped_needs_the_same_for_any_number_of_losses():
    scratch = [torch_scratch("per_loss_grouped", many_heads(16, 16, 3, k), chunk=2) for k in (4, 8, 16)]
    assert scratch[0] == scratch[1] == scratch[2]


@pytest.mark.parametrize("k", [2, 8])
def test_gram_is_no_heavier_than_torchjds_engine(k):
    needs_torchjd(leads.ENGINE)
    peak = {}
    for name in (leads.GRAM, leads.ENGINE):
        side = sides.torch_side("many_heads", place("compute", k).stated)
        take = against._take(name, side)
        take()
        gc.collect()  # the engine's graph is a cycle
        peak[name] = torch_impl.memory.peak(take)
    assert peak[leads.GRAM] <= peak[leads.ENGINE]


def test_xla_plans_more_scratch_for_groups_than_for_one_by_one():
    """A batched gradient and the rows taken from it are both alive: what grouping saves in PyTorch, it costs in JAX."""
    side = sides.jax_side("many_heads", many_heads(8, 16, 2, 4))
    losses = import_module("jax_impl.models.many_heads").losses

    def temp(strategy, **options) -> int:
        take = jax.jit(lambda b, p: strategy(losses(b), p, **options))
        return jax_impl.memory.peak(take, side.batch, side.params).temp

    alone = temp(jax_impl.first_order.per_loss_retained)
    grouped = temp(jax_impl.first_order.per_loss_grouped, chunk=2)
    assert grouped >= alone + 2 * 4 * 16**2


@pytest.mark.parametrize("k", [2, 8, 32])
def test_one_by_one_needs_at_most_two_gradient_copies_of_scratch(k):
    at = place("compute", k)
    scratch = torch_scratch("per_loss_retained", at.stated) - predictions.held("torch", Sizes(**at.sizes))
    side = sides.torch_side(at.name, at.stated)
    trunk = sum(p.nbytes for name, p in side.params.items() if name.startswith("trunk."))
    assert scratch <= 2 * trunk


@pytest.mark.parametrize("name", leads.NEEDS)
def test_a_peer_is_judged_before_it_is_timed(name, monkeypatch):
    needs_torchjd(name)
    row = against._checked(TINY, "torch", name, "cpu")
    assert row["status"] == "ok", row
    assert row["relative_error"] <= 1e-12


@pytest.mark.parametrize("name", [*peers.PEERS, "gram"])
def test_a_wrong_peer_is_told_and_not_timed(name, monkeypatch):
    """Planted: one element of one head's parameter, or of a product, is off by a millionth."""
    needs_torchjd(name)
    whole = against._take

    def off(name, side):
        def take():
            found = whole(name, side)()
            if name == "gram":
                found[1, 2] *= 1 + 1e-6
                return found
            several = found.values() if isinstance(found, dict) else found or [side.params["heads.1.out.bias"].grad]
            for g in several:
                g.view(-1)[-1] += 1e-6
            return found

        return take

    monkeypatch.setattr(against, "_take", off)
    row = against._checked(TINY, "torch", name, "cpu")
    assert row["status"] == "differs"
    assert "of leaf scale (allowed 1e-12)" in row["reason"]


def test_a_run_gives_a_row_a_call_and_a_target(monkeypatch):
    pytest.importorskip("torchjd", reason="torchjd is not installed: it is one of the peers")
    found = against.rows(TINY, seconds=0, rounds=2)
    assert all(row["status"] == "ok" for row in found), found
    assert len({row["id"] for row in found}) == len(found)
    timed = [row for row in found if row["kind"] == "peer"]
    assert {row["call"] for row in timed} == {*leads.NEEDS, "summed", "forward", "gram", *leads.OURS["torch"]}
    assert all(row["time_ratio"] > 0 and row["peak"] > 0 for row in timed)
    assert len(list(leads.judged(found))) == 6
    assert len(leads.tables(found)[0].lines) == len(timed)


def test_a_peer_that_is_not_installed_is_a_row_with_its_remedy(monkeypatch):
    monkeypatch.setattr(against, "find_spec", lambda name: None if name == "torchjd" else object())
    row = against._checked(TINY, "torch", "torchjd.jac", "cpu")
    assert row == {"status": "not_measured", "reason": "torchjd is not installed: pip install 'gradparity[peers]'"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--peer", "torchjd.jacs"], "--peer 'torchjd.jacs' is not known; did you mean 'torchjd.jac'? (accepted: "),
        (["--peer", "torchjd.jac"], "torchjd is not installed: pip install 'gradparity[peers]'"),
    ],
    ids=["unknown", "not installed"],
)
def test_a_mistaken_peer_is_one_line_and_exit_2(argv, message, monkeypatch, capsys):
    version = cli.usage.metadata.version

    def missing(name):
        if name == "torchjd":
            raise cli.usage.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(cli.usage.metadata, "version", missing)
    monkeypatch.setattr(sys, "argv", ["gradparity", "cost", *argv])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def measured(regime: str, **calls: tuple[float, int]):
    """Rows and samples of PyTorch calls: seconds and peak."""
    names = {"ours": "per_loss_retained", "lean": "per_loss_grouped", "jac": "torchjd.jac", "engine": leads.ENGINE}
    found, samples = {}, {}
    for name, (seconds, peak) in (calls | {"forward": (0.5, 1), "gram": (1.0, 10)}).items():
        key = ("torch", names.get(name, name))
        found[key] = {"regime": regime, "seconds": seconds, "peak": peak}
        found[key] |= {"gradients": 4, "held": 2, "gradient": 1.0, "scratch": peak - 6}
        samples[key] = [seconds, seconds]
    return list(leads.targets(found, samples, {"torch": "per_loss_retained"}))


@pytest.mark.parametrize(
    ("regime", "calls", "missed"),
    [
        ("overhead", {"ours": (1.0, 7), "jac": (1.3, 7), "engine": (1.3, 10)}, []),
        ("overhead", {"ours": (1.0, 7), "jac": (1.2, 7), "engine": (1.3, 10)}, ["1.3x faster than torchjd's"]),
        ("overhead", {"ours": (1.0, 8), "jac": (1.4, 7), "engine": (1.3, 10)}, ["1.3x faster than torchjd's"]),
        ("overhead", {"ours": (1.0, 9), "jac": (1.4, 9), "engine": (1.3, 10)}, ["scratch of our fastest"]),
        ("overhead", {"ours": (1.0, 7), "jac": (1.3, 7), "engine": (1.2, 10)}, ["gram"]),
        ("overhead", {"ours": (1.0, 7), "jac": (1.3, 7), "engine": (1.3, 9)}, ["gram"]),
        ("compute", {"ours": (1.0, 6), "jac": (1.0, 10), "engine": (1.3, 10)}, []),
        ("compute", {"ours": (1.0, 7), "jac": (1.0, 10), "engine": (1.3, 10)}, ["no slower than torchjd's"]),
        ("compute", {"ours": (1.0, 6), "lean": (0.9, 7), "jac": (1.0, 10), "engine": (1.3, 10)}, ["torch's fastest"]),
        ("compute", {"ours": (1.1, 6), "jac": (1.0, 10), "engine": (1.3, 10)}, ["no slower than torchjd's"]),
        (
            "heads",
            {"ours": (1.0, 8), "jac": (0.9, 7), "engine": (1.3, 10)},
            ["no call of torchjd is both"],
        ),
        ("heads", {"ours": (1.1, 8), "lean": (1.0, 8), "jac": (2.0, 8), "engine": (1.3, 10)}, ["torch's fastest"]),
    ],
)
def test_targets_are_met_or_missed_with_a_cause(regime, calls, missed):
    found = measured(regime, **calls)
    failed = [row for row in found if not row["met"]]
    assert len(failed) == len(missed)
    assert all(row["target"].startswith(said) and row["cause"] for row, said in zip(failed, missed, strict=True))


@pytest.mark.parametrize(
    ("regime", "k", "in_torch", "in_jax"),
    [
        ("overhead", 2, "per_loss_retained", "per_loss_grouped"),
        ("overhead", 32, "per_loss_grouped", "per_loss_grouped"),
        ("compute", 32, "per_loss_retained", "per_loss_retained"),
        ("heads", 2, "per_loss_retained", "per_loss_grouped"),
        ("heads", 8, "per_loss_grouped", "per_loss_grouped"),
    ],
)
def test_fastest_follows_its_rule(regime, k, in_torch, in_jax):
    at = place(regime, k)
    side = sides.torch_side(at.name, at.stated)
    assert torch_impl.first_order.choice.fastest(side.losses, side.params).__name__ == in_torch
    ours = sides.jax_side(at.name, at.stated)
    assert jax_impl.first_order.choice.fastest(ours.losses, ours.params).__name__ == in_jax


def test_every_peer_has_its_package_named():
    assert {*peers.PEERS, leads.ENGINE} == set(leads.NEEDS)
