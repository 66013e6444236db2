"""Planted bugs: each problem's losses and each strategy, broken on the PyTorch side, must be told from JAX's."""

from importlib import import_module

import pytest

import torch_impl.first_order
from comparisons.difference import difference
from comparisons.frameworks import in_torch
from comparisons.gradients import evaluate, rows
from comparisons.problems import SIZES, problem
from comparisons.scenarios import STRATEGIES, Cell
from torch_impl.models.losses import Losses


def detached_trunk(losses):
    """The features still depend on the parameters, with a derivative of zero."""

    def trunk(p):
        return losses.trunk({name: t.detach() for name, t in p.items()}) + 0 * sum(t.sum() for t in p.values())

    return Losses(trunk, losses.heads)


def _scaled(losses, factor):
    first, *_ = losses.heads
    return Losses(losses.trunk, losses.heads | {first: lambda p, z: factor * losses.heads[first](p, z)})


def dropped_loss(losses):
    return _scaled(losses, 0.0)


def halved_loss(losses):
    return _scaled(losses, 0.5)


def stale_parameters(losses):
    """One part in a million behind."""
    old = lambda p: {name: t * (1 - 1e-6) for name, t in p.items()}  # noqa: E731
    return Losses(lambda p: losses.trunk(old(p)), {n: lambda p, z, h=h: h(old(p), z) for n, h in losses.heads.items()})


def reweighted_by_1e_9(losses):
    return _scaled(losses, 1 + 1e-9)


def transposed_leaf(found):
    """The gradient of the largest square weight, in the other layout; a column becomes its reverse."""
    return _largest(found, lambda g: g.T if g.ndim == 2 and g.shape[0] == g.shape[1] else g.flip(0))


def one_element_off_by_1e_9(found):
    def bump(g):
        g = g.clone()
        flat = g.view(-1)
        flat[flat.abs().argmax()] *= 1 + 1e-9
        return g

    return _largest(found, bump)


def first_loss_twice(found):
    first, *_ = found
    return found | {first: _each(found[first], lambda g: 2 * g)}


def swapped_losses(found):
    return dict(zip(found, [*list(found.values())[1:], next(iter(found.values()))], strict=True))


def _each(value, change):
    if isinstance(value, dict):
        return {name: None if g is None else change(g) for name, g in value.items()}
    return change(value)


def _largest(found, change):
    """`change` on the array with the most elements of the first loss, square ones first."""
    first, *_ = found
    grad = found[first]
    if not isinstance(grad, dict):
        return found | {first: change(grad)}
    rank = {n: (g.ndim == 2 and g.shape[0] == g.shape[1], g.numel()) for n, g in grad.items() if g is not None}
    name = max(rank, key=rank.get)
    return found | {first: grad | {name: change(grad[name])}}


PROBLEM_MUTANTS = [detached_trunk, dropped_loss, halved_loss, stale_parameters, reweighted_by_1e_9]
RESULT_MUTANTS = [transposed_leaf, one_element_off_by_1e_9, first_loss_twice, swapped_losses]


def compared(name, strategy):
    """The mutant, newly computed, against JAX's gradients, which every mutant of a cell shares."""
    broken = in_torch(name, problem(name, "tiny"), strategy)
    return difference(evaluate("jax", Cell(name, strategy), "tiny", "cpu"), broken)


@pytest.mark.parametrize("mutant", PROBLEM_MUTANTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.xdist_group(n)) for n in SIZES])
def test_a_bug_in_a_problem_is_caught(name, mutant, monkeypatch):
    assert not compared(name, "per_loss_retained").unequal
    model = import_module(f"torch_impl.models.{name}")
    right = model.losses
    monkeypatch.setattr(model, "losses", lambda batch: mutant(right(batch)))
    assert compared(name, "per_loss_retained").unequal


@pytest.mark.xdist_group("digits")
@pytest.mark.parametrize("mutant", RESULT_MUTANTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bug_in_a_strategy_is_caught(strategy, mutant, monkeypatch):
    gives = STRATEGIES[strategy].gives
    if mutant is swapped_losses and gives == "total":
        mutant = first_loss_twice
    if mutant is transposed_leaf and gives == "along":
        mutant = one_element_off_by_1e_9
    assert not compared("digits", strategy).unequal
    right = getattr(torch_impl.first_order, strategy)
    monkeypatch.setattr(torch_impl.first_order, strategy, lambda *args: mutant(right(*args)))
    assert compared("digits", strategy).unequal


@pytest.mark.xdist_group("digits")
def test_a_crash_is_one_failed_row_that_names_the_side(monkeypatch):
    def broken(losses, params):
        raise RuntimeError("planted")

    monkeypatch.setattr(torch_impl.first_order, "summed_split", broken)
    evaluate.cache_clear()
    found = rows(Cell("lesson", "summed_split"), "tiny")
    assert [(row["status"], row["reason"]) for row in found] == [("failed", "SideFailed: torch: RuntimeError: planted")]
