"""Gradient surgery: torchjd judges each rule; what defines it is checked without it."""

from functools import cache

import jax
import numpy as np
import pytest
import torch

import jax_impl.aggregation
import torch_impl.aggregation
from comparisons.frameworks import jax_scope

pytestmark = pytest.mark.xdist_group("training")
RULES = ("pcgrad", "upgrad", "mgda")


def jacobians():
    """K gradients, some drawn about a common direction with random signs: strong agreements and strong conflicts."""
    rng = np.random.default_rng(0)
    for trial in range(12):
        k = 2 + trial % 3
        common = rng.standard_normal(11) * rng.choice((-1.0, 1.0), (k, 1))
        yield rng.standard_normal((k, 11)) + (trial // 4) * common


SPECIAL = {
    "no conflict": [[1.0, 0.0], [1.0, 1.0]],
    "one loss has no gradient": [[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]],
    "two losses are the same": [[1.0, 2.0], [1.0, 2.0], [-2.0, 1.0]],
    "two losses are opposite": [[1.0, 2.0], [-1.0, -2.0]],
}
EVERY = [np.array(rows) for rows in SPECIAL.values()] + list(jacobians())
IDS = [*SPECIAL, *(f"{len(j)} losses, {n}" for n, j in enumerate(jacobians()))]
every = pytest.mark.parametrize("jacobian", EVERY, ids=IDS)


def in_torch(rule: str, jacobian: np.ndarray, *args) -> np.ndarray:
    return getattr(torch_impl.aggregation, rule)(torch.tensor(jacobian @ jacobian.T), *args).numpy()


@every
def test_both_sides_give_the_same_weights(jacobian):
    with jax_scope("float64", "cpu"):
        for rule in RULES:
            weights = compiled(rule)(jacobian @ jacobian.T)
            np.testing.assert_allclose(weights, in_torch(rule, jacobian), atol=1e-12)


@cache
def compiled(rule: str):
    return jax.jit(getattr(jax_impl.aggregation, rule))


@every
def test_torchjd_gives_the_same_upgrad(jacobian):
    pytest.importorskip("torchjd", reason="torchjd is not installed: it is the judge of these rules")
    from torchjd.aggregation import UPGrad
    from torchjd.linalg import QuadprogProjector

    singular = np.linalg.matrix_rank(jacobian) < len(jacobian)
    exact = QuadprogProjector(norm_eps=0, reg_eps=1e-12 if singular else 0)
    expected = UPGrad(projector=exact)(torch.tensor(jacobian)).numpy() * len(jacobian)
    allowed = 1e-5 if singular else 1e-11  # quadprog needs a definite matrix, so there it solves another problem
    np.testing.assert_allclose(in_torch("upgrad", jacobian) @ jacobian, expected, atol=allowed * abs(jacobian).max())


@every
def test_torchjd_gives_the_same_pcgrad_in_the_order_that_it_draws(jacobian):
    pytest.importorskip("torchjd", reason="torchjd is not installed: it is the judge of these rules")
    from torchjd.aggregation import PCGrad

    with torch.random.fork_rng():
        torch.manual_seed(3)
        order = [torch.randperm(len(jacobian)).tolist() for _ in jacobian]
        torch.manual_seed(3)
        expected = PCGrad()(torch.tensor(jacobian)).numpy()
    np.testing.assert_allclose(in_torch("pcgrad", jacobian, order) @ jacobian, expected, atol=1e-12)


@every
def test_torchjd_finds_no_shorter_mgda(jacobian):
    """torchjd's Frank-Wolfe nears the shortest combination slowly; with two losses it is exact as well."""
    pytest.importorskip("torchjd", reason="torchjd is not installed: it is the judge of these rules")
    from torchjd.aggregation import MGDA

    found = in_torch("mgda", jacobian) @ jacobian
    expected = MGDA(epsilon=1e-12, max_iters=300)(torch.tensor(jacobian)).numpy()
    scale = abs(jacobian).max()
    assert np.linalg.norm(found) <= np.linalg.norm(expected) + 1e-12 * scale
    np.testing.assert_allclose(found, expected, atol=(1e-12 if len(jacobian) == 2 else 0.2) * scale)


@every
def test_mgda_is_the_shortest_convex_combination(jacobian):
    """Its certificate: weights in the simplex, and every gradient at least as long along it as it is itself."""
    weights = in_torch("mgda", jacobian)
    found = weights @ jacobian
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert (jacobian @ found).min() >= found @ found - 1e-12 * abs(jacobian).max() ** 2


@every
def test_upgrad_opposes_no_loss(jacobian):
    found = in_torch("upgrad", jacobian) @ jacobian
    assert (jacobian @ found).min() >= -1e-11 * abs(jacobian).max() ** 2


def test_without_a_conflict_surgery_is_the_sum():
    jacobian = np.array(SPECIAL["no conflict"])
    for rule in ("pcgrad", "upgrad"):
        assert in_torch(rule, jacobian).tolist() == [1, 1]


def test_one_sweep_can_leave_a_conflict_that_more_sweeps_remove():
    jacobian = np.array([[-3.0, -3.0, 1.0], [3.0, 0.0, -2.0], [1.0, 3.0, 1.0]])
    assert (jacobian @ (in_torch("pcgrad", jacobian) @ jacobian)).min() < -10
    assert (jacobian @ (in_torch("upgrad", jacobian) @ jacobian)).min() > -1e-12


def test_float32_stops_at_its_own_rounding():
    gram = torch.tensor(EVERY[-1] @ EVERY[-1].T, dtype=torch.float32)
    for rule in ("upgrad", "mgda"):
        one = getattr(torch_impl.aggregation, rule)
        assert (one(gram) - one(gram.double())).abs().max() < 1e-3
