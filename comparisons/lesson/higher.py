"""Claims about create_graph, and about the course that the lesson belongs to."""

from urllib.parse import urlsplit

import jax
import jax.numpy as jnp
import torch
from torch import autograd

from comparisons import results
from comparisons.facts import Fact
from comparisons.lesson.claims import Checked
from comparisons.lesson.lifetime import ramp
from comparisons.watch import numbers, raised, same

COURSE = "github.com/takzen/pytorch-black-belt"
NOTEBOOKS = 50
MAML = 45
BADGE = (
    "https://colab.research.google.com/github/takzen/pytorch-black-belt/blob/main/notebooks/12_Retain_Graph_Trick.ipynb"
)
REQUIREMENTS = "https://raw.githubusercontent.com/takzen/ai-engineering-handbook/main/requirements.txt"


def second(f, w: torch.Tensor, **options) -> torch.Tensor:
    """d sum(f'(w)) / dw, by a backward of a backward."""
    (g,) = autograd.grad(f(w).sum(), w, **options)
    return autograd.grad(g.sum(), w)[0]


def create_graph() -> Checked:
    w = ramp(3, grad=True)
    found = second(torch.exp, w, create_graph=True)
    without = raised(lambda: second(torch.exp, w))
    freed = raised(lambda: second(torch.exp, w, create_graph=True, retain_graph=False))
    leaf = raised(lambda: second(lambda a: a**3, w, create_graph=True, retain_graph=False))
    v = jnp.asarray(w.detach().numpy())
    nested = jax.grad(lambda v: jax.grad(lambda v: jnp.exp(v).sum())(v).sum())(v)
    return Checked(
        [Fact("with it exp has its second derivative, exp", same(found, w.exp()), numbers(found))],
        [
            Fact("without it the gradient is a constant", "does not require grad" in without.message, without.message),
            Fact("with retain_graph=False the second fails where a result was saved", bool(freed.kind), "exp raises"),
            Fact("and passes where only the leaf was", not leaf.kind, "a**3 passes"),
        ],
        [Fact("nest grad: no flag", same(nested, v * 0 + jnp.exp(v)), numbers(nested))],
    )


def notebooks() -> Checked:
    w = ramp(2, grad=True)
    without = raised(lambda: second(lambda a: a**3, w))
    hessian = second(lambda a: a**3, w, create_graph=True)

    def maml(start, differentiable: bool):
        (inner,) = autograd.grad((start**3).sum(), start, create_graph=differentiable)
        return autograd.grad(((start - 0.1 * inner) ** 2).sum(), start)[0]

    full, first_order = maml(w, True), maml(w, False)
    w64 = w.detach()
    exact = 2 * (w64 - 0.3 * w64**2) * (1 - 0.6 * w64)

    def adapted(v):
        inner = jax.grad(lambda v: (v**3).sum())(v)
        return ((v - 0.1 * inner) ** 2).sum()

    outer = jax.grad(adapted)(jnp.asarray(w64.numpy()))
    return Checked(
        [
            Fact("a Hessian needs it", bool(without.kind) and same(hessian, 6 * w), f"without: {without.message}"),
            Fact(
                "MAML needs it: without, the inner step counts as a constant",
                same(full, exact, 1e-5) and not same(first_order, exact, 1e-2),
                f"{numbers(full)} with, {numbers(first_order)} without and no error",
            ),
            Fact("the course has a notebook 75", NOTEBOOKS >= 75, f"cited: {NOTEBOOKS} notebooks in {COURSE}"),
        ],
        [Fact("it has one on MAML", MAML <= NOTEBOOKS, f"cited: 45_Meta_Learning_Higher.ipynb in {COURSE}")],
        [Fact("MAML is grad inside grad", same(outer, exact, 1e-5), numbers(outer))],
    )


def environment() -> Checked:
    def repository(url: str) -> str:
        parts = urlsplit(url).path.strip("/").removeprefix("github/").split("/")
        return "/".join(parts[:2])

    ours, theirs = repository(BADGE), repository(REQUIREMENTS)
    stated, run = results.environment("cpu"), {"torch": torch.__version__, "jax": jax.__version__}
    return Checked(
        [
            Fact(
                "it installs the repository's own requirements",
                ours == theirs,
                f"cited: the notebook is in {ours}, its requirements come from {theirs}",
            )
        ],
        [],
        [
            Fact(
                "a result here names the versions that ran",
                all(run[name].startswith(str(stated[name]).split("+")[0]) for name in run),  # "+cpu" may be left out
                ", ".join(f"{name} {version}" for name, version in run.items()),
            )
        ],
    )
