"""Every planted porting bug is caught; no correct pair fails."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comparisons.difference import difference
from comparisons.mutants import MUTANTS, inputs, mutant_row
from comparisons.mutants.pairs import SHAPES, draw, gradients
from comparisons.mutants.tools import VERDICT
from comparisons.testing import assert_gradients_match, assert_losses_match

SCALE = st.floats(-6, 6).map(lambda power: 10.0**power)
DRAWN = given(seed=st.integers(0, 2**32 - 1), weights=SCALE, loss=SCALE)
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def test_the_suite_is_as_large_as_it_says():
    assert len({(m.model, m.bug) for m in MUTANTS}) == len(MUTANTS) >= 30
    assert sum("#" in m.source for m in MUTANTS) >= 8
    assert MUTANTS[0].source.startswith("huggingface/transformers#16345")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.model}: {m.bug}")
@pytest.mark.xdist_group("kit_mutants")
def test_a_planted_bug_is_caught(mutant):
    row = mutant_row(mutant)
    assert row["status"] == "ok", row["reason"]
    assert row["caught"][VERDICT]


@pytest.mark.parametrize("model", sorted({m.model for m in MUTANTS}))
@pytest.mark.xdist_group("kit_mutants")
def test_without_a_bug_the_models_agree(model):
    from comparisons.mutants import jax_models, torch_models

    params, batch = inputs.problem(model)
    both = (getattr(torch_models, model), getattr(jax_models, model))
    assert_losses_match(*both, params, batch=batch, float32=False)


def _agrees(shape, seed, weights, loss):
    assert_gradients_match(*gradients(shape, *draw(shape, seed, weights, loss)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.xdist_group("kit_pairs")
@settings(max_examples=22, **QUIET)
@DRAWN
def test_a_correct_pair_passes(shape, seed, weights, loss):
    _agrees(shape, seed, weights, loss)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.xdist_group("kit_pairs")
@settings(max_examples=250, **QUIET)
@DRAWN
def test_three_thousand_correct_pairs_pass(shape, seed, weights, loss):
    _agrees(shape, seed, weights, loss)


def test_ill_conditioned_inputs_are_a_row_of_their_own():
    found = difference(*gradients(SHAPES[0], *draw(SHAPES[0], 0, 1.0, 1.0, mean=1e6)))
    assert 1e-12 < found.pairs[0].relative_error < 1e-8


@pytest.mark.xdist_group("kit_pairs")
def test_a_bias_before_a_norm_is_a_true_zero_and_no_floor_is_needed_for_it(monkeypatch):
    """Its gradient is rounding on both sides. A floor of 1e-3 fails correct pairs, one of 1e-2 lets a bug through."""
    from comparisons.difference import pair

    pairs = [gradients(SHAPES[-2], *draw(SHAPES[-2], seed, 1.0, 1.0)) for seed in range(12)]
    small = next(m for m in MUTANTS if m.model == "uneven")
    assert not any(difference(*both).unequal for both in pairs)
    monkeypatch.setattr(pair, "ZERO", 0)
    failing = [found.unequal for both in pairs if (found := difference(*both)).unequal]
    assert {p.parameter for unequal in failing for p in unequal} == {"0.c"}
    monkeypatch.setattr(pair, "FLOOR", 1e-2)
    assert not mutant_row(small)["caught"][VERDICT]
