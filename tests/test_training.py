"""Training loops: the same trajectory in both frameworks, and wrong loops that fail in the way that they say."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from jax import numpy as jnp

import comparisons.trajectories as trajectories
import jax_impl.aggregation
import jax_impl.training.recurrent
import torch_impl.aggregation
import torch_impl.models.digits
import torch_impl.training.recurrent
from comparisons.frameworks import jax_scope
from comparisons.trajectories import LOOPS, drift, in_jax, in_torch
from torch_impl.first_order import per_loss_retained

pytestmark = pytest.mark.xdist_group("training")
NUDGE = 1e-8
CASES = [(loop, None) for loop in LOOPS if loop != "surgery" and "wrong" not in loop]
CASES += [("surgery", rule) for rule in ("pcgrad", "upgrad", "mgda")]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Two threads that wait for each other cost these tiny products tens of times what they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pair(loop: str, rule: str | None, **options):
    """The same loop's options for each side."""
    sides = (torch_impl.aggregation, jax_impl.aggregation)
    return [options | ({"aggregate": getattr(side, rule)} if rule else {}) for side in sides]


jax_run = cache(in_jax)  # tests of one loop share its hundred steps, and its program


def allowed(loop: str, options: dict, expected) -> float:
    """What 1e-12 of each parameter's scale at the start becomes by the end, measured with a larger nudge.

    1e-12 is what one gradient may be wrong by; a loop that magnifies what it is given may drift by as much more.
    """
    magnified = drift(in_torch(loop, nudge=NUDGE, **options), expected) / NUDGE
    assert 0.1 < magnified < 100, "not a loop in which a comparison of trajectories means anything"
    return 1e-12 * magnified


@pytest.mark.parametrize(("loop", "rule"), CASES, ids=lambda value: value or "")
def test_hundred_steps_end_at_the_same_parameters(loop, rule):
    with_torch, with_jax = pair(loop, rule)
    expected = in_torch(loop, **with_torch)
    actual = jax_run(loop, **with_jax)
    assert {k: len(v) for k, v in actual.log.items()} == {k: len(v) for k, v in expected.log.items()}
    assert sum(map(len, expected.log.values())) >= 100
    assert drift(actual, expected) <= allowed(loop, with_torch, expected)


def test_a_momentum_wrong_by_a_billionth_is_caught(monkeypatch):
    expected = in_torch("truncated")
    monkeypatch.setattr(jax_impl.training.recurrent, "MOMENTUM", 0.9 + 1e-9)
    assert drift(in_jax("truncated"), expected) > allowed("truncated", {}, expected)


def test_the_order_of_the_batches_matters_more_than_any_allowance(monkeypatch):
    expected, course = in_torch("multi_task", 20), LOOPS["multi_task"](20)
    swapped = course._replace(batches=[*course.batches[1::-1], *course.batches[2:]])
    monkeypatch.setitem(LOOPS, "multi_task", lambda steps: swapped)
    assert drift(in_torch("multi_task", 20), expected) > 1e-6


# What each loop is. The trajectories above say the same of JAX, so PyTorch alone is asked where that is cheaper.


def test_the_log_has_each_losss_own_norm():
    course, log = LOOPS["multi_task"](1), in_torch("multi_task", 1).log
    params = {k: torch.tensor(v, requires_grad=True) for k, v in trajectories.start(course.layout).items()}
    batch = {k: torch.tensor(v) for k, v in course.batches[0].items()}
    for name, grad in per_loss_retained(torch_impl.models.digits.losses(batch), params).items():
        norm = sum((g**2).sum() for g in grad.values() if g is not None).sqrt().item()
        assert log[f"{name}/norm"][0] == pytest.approx(norm, rel=1e-12)


def test_stepping_the_logged_sum_is_stepping_the_sum():
    whole = in_torch("inspected", limit=np.inf)
    assert drift(in_torch("multi_task")._replace(log={}), whole._replace(log={})) < 1e-13


def test_parts_give_the_whole_batchs_steps():
    assert drift(in_torch("accumulation", parts=8), in_torch("accumulation", parts=1)) < 1e-13


def test_a_short_limit_shortens_the_first_step_to_it():
    start = trajectories.start(LOOPS["inspected"](1).layout)
    after = in_torch("inspected", 1, limit=0.01, rate=1.0).params
    assert np.sqrt(sum(((after[k] - start[k]) ** 2).sum() for k in start)) == pytest.approx(0.01, rel=1e-12)


def test_the_detached_step_is_the_retained_step_and_not_the_one_forward_step():
    detached = in_torch("gan_detached")
    assert drift(in_torch("gan_retained"), detached) < 1e-13
    assert drift(in_torch("gan_one_forward"), detached) > 1e-2


def test_a_cut_shortens_the_gradients_memory():
    uncut = in_torch("truncated_accumulated", length=8)
    assert drift(in_torch("truncated"), uncut) < 1e-13
    assert drift(in_torch("truncated_accumulated", length=2), uncut) > 1e-3


@pytest.mark.parametrize("run", [in_torch, in_jax])
def test_unequal_parts_are_refused(run):
    with pytest.raises(ValueError, match=re.escape("`parts` must divide the batch of 16 (got 3)")):
        run("accumulation", 1, parts=3)
    with pytest.raises(ValueError, match=re.escape("`length` must divide the 8 rows of a batch (got 3)")):
        run("truncated_accumulated", 1, length=3)


# What is wrong, and how it shows.

SECOND = "Trying to backward through the graph a second time"
INPLACE = "one of the variables needed for gradient computation has been modified by an inplace operation"


@pytest.mark.parametrize(("loop", "message"), [("gan_wrong", SECOND), ("gan_wrong_retained", INPLACE)])
def test_pytorch_refuses_a_step_between_two_players(loop, message):
    course, start = LOOPS["gan_wrong"](1), trajectories.start(LOOPS["gan_wrong"](1).layout)
    params = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    batches = [{k: torch.tensor(v) for k, v in batch.items()} for batch in course.batches]
    with pytest.raises(RuntimeError, match=message):
        getattr(torch_impl.training, loop)(params, batches)
    moved = {k.partition(".")[0] for k, p in params.items() if (p.detach().numpy() != start[k]).any()}
    assert moved == {"discriminator"}


def test_jax_answers_at_the_old_discriminator():
    wrong = in_jax("gan_wrong")
    assert drift(wrong, jax_run("gan_one_forward")) < 1e-13
    assert drift(wrong, jax_run("gan_retained")) > 1e-2


@pytest.mark.parametrize(("loop", "message"), [("truncated_wrong", SECOND), ("truncated_wrong_retained", INPLACE)])
def test_pytorch_refuses_a_state_that_brings_its_graph(loop, message):
    in_torch(loop, 1)
    with pytest.raises(RuntimeError, match=message):
        in_torch(loop, 2)


def test_jax_reaches_back_to_the_first_row_without_a_word():
    """The wrong loop's one step is plain SGD along the whole sequence's gradient, taken here by PyTorch."""
    course = LOOPS["truncated_wrong"](2)
    start = trajectories.start(course.layout)
    params = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    state, values = torch.zeros(16, 16, dtype=torch.float64), []
    for batch in course.batches:
        batch = {k: torch.tensor(v) for k, v in batch.items()}
        value, state = torch_impl.training.recurrent.chunk_loss(params, state, batch)
        values.append(value)
    whole = torch.autograd.grad(sum(values) / 2, list(params.values()))
    after = in_jax("truncated_wrong", 2, rate=1.0).params
    for (name, before), gradient in zip(start.items(), whole, strict=True):
        np.testing.assert_allclose(before - after[name], gradient, rtol=0, atol=1e-12 * float(gradient.abs().max()))


def test_an_idle_head_left_at_none_goes_another_way():
    """PyTorch's own default skips a parameter whose gradient is None; optax moves it on by its momentum."""
    course = LOOPS["alternating"](20)
    params = {k: torch.tensor(v, requires_grad=True) for k, v in trajectories.start(course.layout).items()}
    optimizer = torch.optim.SGD(params.values(), 0.05, 0.9)
    for t, batch in enumerate(course.batches):
        found = torch_impl.models.digits.losses({k: torch.tensor(v) for k, v in batch.items()})
        optimizer.zero_grad()
        list(found(params).values())[t % 4].backward()
        optimizer.step()
    skipped = {k: p.detach().numpy() for k, p in params.items()}
    zeros = in_torch("alternating", 20).params  # equal to optax's, above
    apart = {k: abs(zeros[k] - v).max() / abs(v).max() for k, v in skipped.items()}
    assert apart["odd.bias"] > 1e-3


def test_pytorchs_own_clipping_is_a_millionth_short():
    grads = torch.tensor([3.0, 4.0], dtype=torch.float64)
    p = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    p.grad = grads.clone()
    torch.nn.utils.clip_grad_norm_([p], 1.0)
    assert p.grad.norm().item() == pytest.approx(5 / (5 + 1e-6), rel=1e-12)
    assert p.grad.norm().item() < 1 - 1e-7


def test_jax_gives_zeros_where_pytorch_gives_none():
    with jax_scope("float64", "cpu"):
        grads = {"a": {"w": jnp.ones(2)}, "b": {"w": jnp.zeros(2)}}
        assert jax_impl.aggregation.gramian(grads).tolist() == [[2, 0], [0, 0]]
