"""The checks at the notebooks' ends. Each takes an answer, tries it, and says what is right or what is missing."""

from collections.abc import Callable

import support
import torch


def passes_twice(loss: Callable) -> str:
    """1: a loss of `v` with the gradient 5 that can be differentiated twice."""
    v = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    value = loss(v)
    value.backward()
    first = v.grad.clone()
    error = support.raises(value.backward)
    if error:
        return f"Not yet: the second backward raises. {error}"
    if not torch.equal(first, torch.full_like(first, 5)):
        return f"Not yet: it passes twice, but its gradient is {first.tolist()} and not 5 everywhere."
    return "Right: additions save nothing, so there is nothing to release."


def one_gradient_each(per_loss: Callable) -> str:
    """2: `per_loss(values, w)` gives one gradient for each loss and leaves `.grad` alone."""
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    z = w.exp()
    values = {"a": z.sum(), "b": (z**2).sum(), "c": (2 * z).sum()}
    expected = {"a": w.exp(), "b": 2 * (2 * w).exp(), "c": 2 * w.exp()}
    error = support.raises(lambda: values.update(found=per_loss(dict(values), w)))
    if error:
        return f"Not yet: it raises. {error}"
    found = values["found"]
    if w.grad is not None:
        return "Not yet: `w.grad` was changed. `torch.autograd.grad` returns a gradient and leaves it alone."
    if not isinstance(found, dict) or found.keys() != expected.keys():
        return f"Not yet: return a dict with the losses' names, {list(expected)}."
    if not all(torch.allclose(found[name].detach(), expected[name].detach()) for name in expected):
        return "Not yet: a gradient is wrong. Is one loss added to another?"
    return "Right: one gradient each, and nothing in `.grad`."


def hessian_times_vector(hvp: Callable) -> str:
    """3: `hvp(f, w, v)` is the Hessian of `f` at `w` times `v`."""
    w, v = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 0.0, -2.0])
    f = lambda w: (w**3).sum() + w.prod()  # noqa: E731
    found: list = []
    error = support.raises(lambda: found.append(hvp(f, w.clone().requires_grad_(), v)))
    if error and "does not require grad" in error:
        return "Not yet: the first gradient has no graph. Take it with `create_graph=True`."
    if error:
        return f"Not yet: it raises. {error}"
    expected = torch.autograd.functional.hvp(f, w, v)[1]
    if not isinstance(found[0], torch.Tensor) or found[0].shape != expected.shape:
        return f"Not yet: return a tensor of the shape of `w`, {list(w.shape)}."
    if not torch.allclose(found[0].detach(), expected):
        return f"Not yet: expected {expected.tolist()}, got {found[0].tolist()}."
    return "Right: one backward to record, one to differentiate along `v`."


def bytes_left(answer: int) -> str:
    """4: what the graph of five linear heads holds after the last backward."""
    from comparisons.problems import many_heads
    from torch_impl.memory import held
    from torch_impl.models.many_heads import losses

    stated = many_heads(batch=64, width=32, depth=3, losses=5)
    params = {k: torch.tensor(v, dtype=torch.float32, requires_grad=True) for k, v in stated.params.items()}
    batch = {k: torch.tensor(v, dtype=torch.float32) for k, v in stated.batch.items()}
    with held(params, batch) as ledger:
        values = losses(batch)(params)
    forward = ledger.bytes
    for name, value in values.items():
        value.backward(retain_graph=name != "loss4")
    if answer == ledger.bytes:
        return f"Right: {ledger.bytes:,} bytes, the features and one row for each of the four heads that were not visited last."
    if answer == forward:
        return f"Not yet: {forward:,} bytes is what it holds after forward. The last backward frees what it visits."
    if answer == 0:
        return "Not yet: the last backward frees only what it visits. Which heads does it not visit?"
    return (
        f"Not yet: it is not {answer:,}. Count the features once, and one number per example for each head not visited."
    )


def ratio_of_sixteen(answer: float) -> str:
    """5: operations of sixteen retained backwards over those of the summed one."""
    from comparisons.problems import many_heads
    from torch_impl import first_order
    from torch_impl.cost import flops
    from torch_impl.models.many_heads import losses

    stated, counts = many_heads(batch=64, width=64, depth=8, losses=16), []
    for strategy in (first_order.per_loss_retained, first_order.summed):
        params = {k: torch.tensor(v, dtype=torch.float32, requires_grad=True) for k, v in stated.params.items()}
        batch = {k: torch.tensor(v, dtype=torch.float32) for k, v in stated.batch.items()}
        counts.append(flops(strategy, losses(batch), params))
    ratio = counts[0] / counts[1]
    if abs(answer / ratio - 1) <= 0.05:
        return f"Right: {ratio:.2f}. The formula (1 + 2K) / 3 gives 11; the first layer and the heads make it less."
    return f"Not yet: {answer:g} is more than 5% off. One forward and K backwards, over one forward and one backward."


def safe_square_root(safe_sqrt: Callable) -> str:
    """6: a square root whose gradient at zero is zero, and poisons nothing."""
    w = torch.tensor([0.0, 4.0], requires_grad=True)
    value = safe_sqrt(w)
    if not torch.equal(value.detach(), torch.tensor([0.0, 2.0])):
        return f"Not yet: at [0, 4] the value should be [0, 2], and is {value.tolist()}."
    (gradient,) = torch.autograd.grad(value.sum(), w, retain_graph=True)
    (poison,) = torch.autograd.grad(0 * value.sum(), w)
    if gradient.isnan().any() or poison.isnan().any():
        return (
            f"Not yet: the gradient at [0, 4] is {gradient.tolist()}. The branch not taken is differentiated as well."
        )
    if not torch.equal(gradient, torch.tensor([0.0, 0.25])):
        return f"Not yet: the gradient at [0, 4] should be [0, 0.25], and is {gradient.tolist()}."
    return "Right: one `where` inside, so that the root never sees a zero, and one outside."


def two_players(both: Callable) -> str:
    """7: each player's gradient of its own loss, from one graph."""
    d, g = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    judged = (d * g.exp()).exp().log()
    found: list = []
    error = support.raises(lambda: found.append(both(judged**2, -judged, d, g)))
    if error:
        return f"Not yet: it raises. {error}"
    if d.grad is not None or g.grad is not None:
        return "Not yet: a `.grad` was changed, so one player's loss ran into the other's gradient."
    try:
        into_d, into_g = (part[0] if isinstance(part, tuple) else part for part in found[0])
    except (TypeError, ValueError):
        return "Not yet: return two gradients."
    expected_d, expected_g = 2 * d * (2 * g).exp(), -d * g.exp()
    if not torch.allclose(into_d, expected_d.detach(), rtol=1e-4):
        return f"Not yet: the discriminator's gradient is {into_d.item():g}, and should be {expected_d.item():g}."
    if not torch.allclose(into_g, expected_g.detach(), rtol=1e-4):
        return f"Not yet: the generator's gradient is {into_g.item():g}, and should be {expected_g.item():g}."
    return "Right: the first is asked for with the graph retained, and neither is stored in a parameter."


def accumulates(accumulate: Callable) -> str:
    """8: `accumulate(loss, w, parts)` leaves the gradient of the mean over all examples in `w.grad`."""
    examples = torch.tensor([1.0, 2.0, 3.0, 10.0])
    w = torch.tensor(2.0, requires_grad=True)
    w.grad = torch.tensor(100.0)
    accumulate(lambda w, part: (w * part).mean(), w, [examples[:3], examples[3:]])
    found, expected = float("nan") if w.grad is None else w.grad.item(), examples.mean().item()
    if found == expected:
        return "Right: cleared first, and each part weighted by its share of the examples."
    if found > 100:
        return f"Not yet: {found:g}. What was in `w.grad` before is still in it."
    if found == 12:
        return "Not yet: 12 is the sum of the parts' means. Weight each by its share of the examples."
    if found == 6:
        return "Not yet: 6 is the mean of the parts' means. The parts have 3 examples and 1."
    return f"Not yet: {found:g}, and the batch's gradient is {expected:g}."
