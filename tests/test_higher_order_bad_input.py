"""Bad input of second order: the same words on both sides, the argument by its name, one line, never a silent NaN."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import jax_impl.higher_order as in_jax
import jax_impl.models.losses
import torch_impl.higher_order as in_torch
import torch_impl.models.losses
from comparisons.frameworks import jax_scope
from torch_impl.higher_order import composed

SIDES = {"torch": in_torch, "jax": in_jax}
LOSSES = {in_torch: torch_impl.models.losses.Losses, in_jax: jax_impl.models.losses.Losses}


class Maker:
    """One side's arrays: leaves, constants and integers."""

    def __init__(self, side):
        self.torch = side == "torch"

    def __call__(self, value, grad=False):
        value = np.asarray(value)
        return torch.tensor(value, requires_grad=grad) if self.torch else jnp.asarray(value)

    def params(self, **values):
        return {name: self(np.asarray(v, float), grad=True) for name, v in values.items()}


def floats(*shape):
    return np.linspace(0.1, 1, int(np.prod(shape))).reshape(shape)


def square(p):
    return (p["w"] ** 2).sum()


def quadratic(diagonal):
    return lambda p: 0.5 * (diagonal * p["w"] ** 2).sum()


def network(a):
    return a.params(w0=floats(2, 3), b0=floats(3), w1=floats(3, 1), b1=floats(1))


def pde(m, a, **changed):
    batch = {"inside": floats(4, 2), "start": floats(2, 2), "start_u": floats(2)}
    batch |= {"edge": floats(2, 2), "edge_u": floats(2)} | changed
    return m.pde_losses(m.heat, network(a), {name: a(value) for name, value in batch.items()})


def weigh(m, a, form, losses=None, weights=(1.0, 2.0), initial=(1.0, 1.0), shared=("w",)):
    def two(p):
        return {"a": square(p), "b": (p["w"] - 1).sum() ** 2}

    names = ("a", "b")
    given = {n: a(np.asarray(v), grad=np.asarray(v).dtype.kind == "f") for n, v in zip(names, weights, strict=False)}
    start = {n: a(np.asarray(v)) for n, v in zip(names, initial, strict=False)}
    return getattr(m, form)(losses or two, a.params(w=floats(3)), given, start, shared)


def solve(m, a, loss=square, vector=None, **options):
    vector = {"w": a(floats(3))} if vector is None else vector
    return m.inverse_hvp(loss, a.params(w=floats(3)), vector, **options)


def maml(m, a, loss=None, steps=1, params=None, rate=0.1):
    task = {"x": a(floats(4, 1)), "y": a(floats(4))}
    start = a.params(w0=floats(1, 3), b0=floats(3), w1=floats(3, 1), b1=floats(1)) if params is None else params
    return m.maml(loss or m.sine_loss, start, task, task, steps, rate)


def train(m, a, losses=None, steps=1, params=None):
    return m.train(losses or (lambda p, b: {"a": square(p)}), params or a.params(w=floats(3)), {}, steps, 0.1)


def implicit(m, a, strength, test=square):
    return m.implicit_gradient(lambda p, s: square(p) * s, test, a.params(w=floats(3)), strength)


CASES = {
    "order 0": (
        lambda m, a: m.nth_derivative(lambda x: x * x, a(1.0), 0),
        ValueError,
        "`order` must be at least 1 (got 0): order 0 is the function itself",
    ),
    "order -2": (
        lambda m, a: m.nth_derivative(lambda x: x * x, a(1.0), -2),
        ValueError,
        "`order` must be at least 1 (got -2): order 0 is the function itself",
    ),
    "order 1.5": (
        lambda m, a: m.nth_derivative(lambda x: x * x, a(1.0), 1.5),
        ValueError,
        "`order` must be a whole number (got 1.5)",
    ),
    "x an integer": (
        lambda m, a: m.nth_derivative(lambda x: x * x, a(2), 1),
        TypeError,
        "`x` must be floating point (got ",
    ),
    "x a vector": (
        lambda m, a: m.nth_derivative(lambda x: x.sum(), a(floats(3)), 2),
        ValueError,
        "`x` must be a scalar (got shape [3]): take one entry at a time",
    ),
    "a function that gives a vector": (
        lambda m, a: m.nth_derivative(lambda x: x * a(floats(3)), a(1.0), 1),
        ValueError,
        "`function` must give a scalar (got shape [3]): take a mean or a sum",
    ),
    "a function that gives an integer": (
        lambda m, a: m.nth_derivative(lambda x: a(1), a(1.0), 1),
        TypeError,
        "`function(x)` must be floating point (got ",
    ),
    "penalty: integer points": (
        lambda m, a: m.gradient_penalty(lambda x: x.sum(-1), a(np.ones((2, 3), int))),
        TypeError,
        "`points` must be floating point (got ",
    ),
    "penalty: one number for all points": (
        lambda m, a: m.gradient_penalty(lambda x: x.sum(), a(floats(2, 3))),
        ValueError,
        "`critic` must give a number for each point (got shape [] for 2 points)",
    ),
    "penalty: images": (
        lambda m, a: m.gradient_penalty(lambda x: x.sum((1, 2)), a(floats(2, 3, 3))),
        ValueError,
        "`points` must be (batch, features) (got shape [2, 3, 3]): flatten each point",
    ),
    "maml: steps of 1.5": (lambda m, a: maml(m, a, steps=1.5), ValueError, "`steps` must be a whole number (got 1.5)"),
    "maml: steps below 0": (lambda m, a: maml(m, a, steps=-1), ValueError, "`steps` must be at least 0 (got -1)"),
    "maml: a rate of nan": (lambda m, a: maml(m, a, rate=np.nan), ValueError, "`rate` must be at least 0 (got nan)"),
    "maml: a loss for each point": (
        lambda m, a: maml(m, a, loss=lambda p, task: m.mlp(p, task["x"]) - task["y"]),
        ValueError,
        "`loss` must give a scalar (got shape [4]): take a mean or a sum",
    ),
    "maml: integer parameters": (
        lambda m, a: maml(m, a, loss=lambda p, task: p["w"].sum(), params={"w": a(np.ones(3, int))}),
        TypeError,
        "`params['w']` must be floating point (got ",
    ),
    "physics: integer points": (
        lambda m, a: pde(m, a, inside=np.ones((4, 2), int)),
        TypeError,
        "`points` must be floating point (got ",
    ),
    "physics: points of one coordinate": (
        lambda m, a: pde(m, a, inside=floats(4, 1)),
        ValueError,
        "`points` must be (n, 2), x and t (got shape [4, 1])",
    ),
    "train: no steps": (lambda m, a: train(m, a, steps=0), ValueError, "`steps` must be at least 1 (got 0)"),
    "train: a rate that is not a number": (
        lambda m, a: m.train(lambda p, b: {"a": square(p)}, a.params(w=floats(3)), {}, 1, np.nan),
        ValueError,
        "`rate` must be at least 0 (got nan)",
    ),
    "train: a loss for each point": (
        lambda m, a: train(m, a, losses=lambda p, b: {"a": p["w"]}),
        ValueError,
        "`losses` must give scalars (got shape [3] for 'a'): take a mean or a sum",
    ),
    "train: integer parameters": (
        lambda m, a: train(m, a, params={"w": a(np.ones(3, int))}),
        TypeError,
        "`params['w']` must be floating point (got ",
    ),
    "solve: singular": (
        lambda m, a: solve(m, a, quadratic(a([1.0, 0.0, 1.0]))),
        ValueError,
        "so the Hessian plus `damping` is singular, indefinite or not finite: raise `damping` (got 0)",
    ),
    "solve: no descent": (
        lambda m, a: solve(m, a, quadratic(a([-1.0, -2.0, -1.0]))),
        ValueError,
        "`loss` has curvature -",
    ),
    "solve: not finite": (
        lambda m, a: solve(m, a, quadratic(a([1.0, np.nan, 1.0]))),
        ValueError,
        "`loss` has curvature nan along a search direction",
    ),
    "solve: a vector that is not finite": (
        lambda m, a: solve(m, a, vector={"w": a([1.0, np.nan, 1.0])}),
        ValueError,
        "along a search direction, so the Hessian plus `damping` is singular, indefinite or not finite",
    ),
    "solve: too few steps": (
        lambda m, a: solve(m, a, quadratic(a([1.0, 4.0, 9.0])), steps=1),
        ValueError,
        "`steps` = 1 of conjugate gradients leave a residual of ",
    ),
    "solve: no steps": (lambda m, a: solve(m, a, steps=0), ValueError, "`steps` must be at least 1 (got 0)"),
    "solve: negative damping": (
        lambda m, a: solve(m, a, damping=-1.0),
        ValueError,
        "`damping` must be at least 0 (got -1.0)",
    ),
    "solve: damping not a number": (
        lambda m, a: solve(m, a, damping=np.nan),
        ValueError,
        "`damping` must be at least 0 (got nan)",
    ),
    "solve: tolerance 0": (
        lambda m, a: solve(m, a, tolerance=0.0),
        ValueError,
        "`tolerance` must be above 0 (got 0)",
    ),
    "solve: another vector's name": (
        lambda m, a: solve(m, a, vector={"v": a(floats(3))}),
        ValueError,
        "`vector` must have shape [3] for 'w', as `params` has (got nothing)",
    ),
    "solve: another vector's shape": (
        lambda m, a: solve(m, a, vector={"w": a(floats(1))}),
        ValueError,
        "`vector` must have shape [3] for 'w', as `params` has (got shape [1])",
    ),
    "solve: a loss for each example": (
        lambda m, a: solve(m, a, lambda p: p["w"] ** 2),
        ValueError,
        "`loss` must give a scalar (got shape [3]): take a mean or a sum",
    ),
    "solve: integer parameters": (
        lambda m, a: m.inverse_hvp(square, {"w": a(np.ones(3, int))}, {"w": a(floats(3))}),
        TypeError,
        "`params['w']` must be floating point (got ",
    ),
    "newton: steps below 0": (
        lambda m, a: m.newton(square, a.params(w=floats(3)), -1),
        ValueError,
        "`steps` must be at least 0 (got -1)",
    ),
    "newton: a loss for each example": (
        lambda m, a: m.newton(lambda p: p["w"] ** 2, a.params(w=floats(3)), 1),
        ValueError,
        "`loss` must give a scalar (got shape [3]): take a mean or a sum",
    ),
    "newton: integer parameters": (
        lambda m, a: m.newton(square, {"w": a(np.ones(3, int))}, 1),
        TypeError,
        "`params['w']` must be floating point (got ",
    ),
    "influence: one loss for all examples": (
        lambda m, a: m.influence(square, square, square, a.params(w=floats(3))),
        ValueError,
        "`each` must give a loss for each example, in one row (got shape [])",
    ),
    "influence: a test loss for each example": (
        lambda m, a: m.influence(square, lambda p: p["w"], lambda p: p["w"], a.params(w=floats(3))),
        ValueError,
        "`test` must give a scalar (got shape [3]): take a mean or a sum",
    ),
    "implicit: an integer strength": (
        lambda m, a: implicit(m, a, a(1)),
        TypeError,
        "`strength` must be floating point (got ",
    ),
    "implicit: a strength a parameter": (
        lambda m, a: implicit(m, a, a(floats(3))),
        ValueError,
        "`strength` must be a scalar (got shape [3])",
    ),
    "gauss_newton_vp: a loss for each example": (
        lambda m, a: m.gauss_newton_vp(
            LOSSES[m](lambda p: p["w"], {"a": lambda p, z: z}), a.params(w=floats(3)), {"w": a(floats(3))}
        ),
        ValueError,
        "`losses.heads['a']` must give a scalar (got shape [3]): take a mean or a sum",
    ),
    "weights: integers": (
        lambda m, a: weigh(m, a, "grad_norm", weights=(1, 2)),
        TypeError,
        "`weights['a']` must be floating point (got ",
    ),
}
for _form in ("grad_norm", "grad_norm_detached"):
    CASES |= {
        f"{_form}: a weight below 0": (
            lambda m, a, f=_form: weigh(m, a, f, weights=(1.0, -2.0)),
            ValueError,
            "`weights['b']` must be positive (got -2)",
        ),
        f"{_form}: a loss that starts at 0": (
            lambda m, a, f=_form: weigh(m, a, f, initial=(0.0, 1.0)),
            ValueError,
            "`initial['a']` must be positive (got 0)",
        ),
        f"{_form}: a loss below 0": (
            lambda m, a, f=_form: weigh(m, a, f, losses=lambda p: {"a": -square(p), "b": square(p)}),
            ValueError,
            "`losses['a']` must be positive (got -",
        ),
        f"{_form}: a weight too few": (
            lambda m, a, f=_form: weigh(m, a, f, weights=(1.0,)),
            ValueError,
            "`weights` has nothing for loss 'b' (it has a)",
        ),
        f"{_form}: nothing shared": (
            lambda m, a, f=_form: weigh(m, a, f, shared=()),
            ValueError,
            "`shared` must name some of the parameters (got none)",
        ),
        f"{_form}: an unknown parameter shared": (
            lambda m, a, f=_form: weigh(m, a, f, shared=("v",)),
            ValueError,
            "`shared` must name some of the parameters (got 'v', which is not in `params`)",
        ),
        f"{_form}: a loss for each example": (
            lambda m, a, f=_form: weigh(m, a, f, losses=lambda p: {"a": p["w"], "b": square(p)}),
            ValueError,
            "`losses` must give scalars (got shape [3] for 'a'): take a mean or a sum",
        ),
    }
HVPS = ("hvp_forward_over_reverse", "hvp_reverse_over_forward", "hvp_reverse_over_reverse")
for _name in (*HVPS, "hessian", "hessian_diagonal"):
    _rest = {"direction": True} if _name in HVPS else {}

    def _call(m, a, losses, params, name=_name, rest=_rest):
        direction = [{"w": a(floats(3))}] if rest else []
        return getattr(m, name)(losses, params, *direction)

    CASES |= {
        f"{_name}: a loss for each example": (
            lambda m, a, c=_call: c(m, a, lambda p: {"a": p["w"] ** 2}, a.params(w=floats(3))),
            ValueError,
            "`losses` must give scalars (got shape [3] for 'a'): take a mean or a sum",
        ),
        f"{_name}: integer parameters": (
            lambda m, a, c=_call: c(m, a, lambda p: {"a": square(p)}, {"w": a(np.ones(3, int))}),
            TypeError,
            "`params['w']` must be floating point (got ",
        ),
    }
for _name in (*HVPS, "gauss_newton_vp"):

    def _along(m, a, direction, name=_name):
        losses = LOSSES[m](lambda p: p["w"], {"a": lambda p, z: square({"w": z})})
        return getattr(m, name)(losses, a.params(w=floats(3)), direction)

    CASES |= {
        f"{_name}: a direction that would broadcast": (
            lambda m, a, c=_along: c(m, a, {"w": a(floats(1))}),
            ValueError,
            "`direction` must have shape [3] for 'w', as `params` has (got shape [1])",
        ),
        f"{_name}: another direction's name": (
            lambda m, a, c=_along: c(m, a, {"v": a(floats(3))}),
            ValueError,
            "`direction` must have shape [3] for 'w', as `params` has (got nothing)",
        ),
        f"{_name}: an integer direction": (
            lambda m, a, c=_along: c(m, a, {"w": a(np.ones(3, int))}),
            TypeError,
            "`direction['w']` must be floating point (got ",
        ),
    }
for _name in HVPS:
    CASES[f"{_name}: an integer loss"] = (
        lambda m, a, n=_name: getattr(m, n)(lambda p: {"a": a(1)}, a.params(w=floats(3)), {"w": a(floats(3))}),
        TypeError,
        "`losses['a']` must be floating point (got ",
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", CASES)
def test_an_error_names_the_argument_in_the_same_words(case, side):
    call, kind, words = CASES[case]
    with jax_scope("float64", "cpu"), pytest.raises(kind) as caught:
        call(SIDES[side], Maker(side))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


RECORDED = {
    "maml": lambda p: in_torch.maml(lambda p, task: square(p), p, {}, {}, 1, 0.1),
    "hvp": lambda p: in_torch.hvp_reverse_over_reverse(lambda p: {"a": square(p)}, p, p),
}


@pytest.mark.parametrize("call", RECORDED)
def test_parameters_that_record_nothing_are_named_in_pytorch(call):
    with pytest.raises(ValueError, match="`params` must require grad: nothing is recorded of them"):
        RECORDED[call]({"w": torch.ones(3)})


@pytest.mark.parametrize("form", ["grad_norm", "grad_norm_detached"])
@pytest.mark.parametrize("side", SIDES)
def test_a_loss_that_does_not_reach_the_shared_parameters_is_no_nan(side, form):
    def losses(p):
        return {"a": square(p), "b": (p["own"] ** 2).sum() + 0 * p["w"].sum()}

    module, a = SIDES[side], Maker(side)
    with jax_scope("float64", "cpu"):
        weights = {name: a(1.5, grad=True) for name in ("a", "b")}
        initial = {name: a(1.0) for name in ("a", "b")}
        params = a.params(w=floats(3), own=floats(2))
        for lost in (losses, lambda p: losses(p) | {"b": (p["own"] ** 2).sum()}):
            found = getattr(module, form)(lost, params, weights, initial, ["w"])
            assert np.isfinite(float(found["a"]))
            assert float(found["a"]) > 0
            assert float(found["b"]) == 0


def test_inside_jit_the_signs_are_not_asked_for():
    with jax_scope("float64", "cpu"):
        run = jax.jit(partial(weigh, in_jax, Maker("jax"), "grad_norm"))
        assert set(run()) == {"a", "b"}
        taken = jax.jit(
            lambda w: in_jax.grad_norm(
                lambda p: {"a": square(p)}, {"w": jnp.ones(2)}, {"a": w}, {"a": jnp.ones(())}, ["w"]
            )
        )
        assert jnp.isfinite(taken(jnp.asarray(1.5))["a"])


@pytest.mark.parametrize(
    ("loss", "option"),
    [
        (F.mse_loss, {"size_average": True}),
        (F.mse_loss, {"reduce": False}),
        (F.mse_loss, {"weight": torch.ones(3)}),
        (F.huber_loss, {"weight": torch.ones(3)}),
    ],
)
def test_an_option_that_is_not_spelled_out_is_named(loss, option):
    said = f"`{next(iter(option))}` of `{loss.__name__}` is not spelled out: leave it at None"
    with composed(), pytest.raises(ValueError, match=said):
        loss(torch.ones(3), torch.zeros(3), **option)


@pytest.mark.parametrize("loss", [F.mse_loss, F.huber_loss])
def test_an_unknown_reduction_is_named(loss):
    with composed(), pytest.raises(ValueError, match=r"`reduction` must be one of mean, sum, none \(got 'man'\)"):
        loss(torch.ones(3), torch.zeros(3), reduction="man")


X = torch.linspace(-2, 3, 24, dtype=torch.float64).sin().reshape(2, 3, 4)
SQUARE = (X @ X.mT)[:, :2, :2] + torch.eye(2, dtype=torch.float64) * torch.tensor([[1.0, -2.0]])
SPELLED_OUT = {
    "mse": lambda x: F.mse_loss(x, X.flip(0)),
    "mse, sum": lambda x: F.mse_loss(x, X.flip(0), reduction="sum"),
    "huber": lambda x: F.huber_loss(x, X.flip(0)),
    "huber, delta": lambda x: F.huber_loss(x, X.flip(0), "none", 0.3).sin().sum(),
    "huber, at 0": lambda x: F.huber_loss(x, X),
    "huber, far": lambda x: F.huber_loss(1e300 * x, X, delta=0.5) / 1e300,
    "glu": lambda x: F.glu(x).sin().sum(),
    "glu, dim": lambda x: torch.nn.GLU(0)(x).sin().sum(),
    "weight norm": lambda x: torch._weight_norm(x, x[:, :1, :1], 0).sin().sum(),
    "weight norm, last": lambda x: torch._weight_norm(x, x[:1, :1], 2).sin().sum(),
    "weight norm, whole": lambda x: torch._weight_norm(x, x[0, 0, 0], -1).sin().sum(),
    "solve": lambda x: torch.linalg.solve(SQUARE.sin(), x[:, :2]).sin().sum(),
    "solve, right": lambda x: torch.linalg.solve(SQUARE + x[:, :2, :2], x[:, :, :2], left=False).sin().sum(),
    "solve, column": lambda x: torch.linalg.solve(x[0, :2, :2], x[0, 0, :2]).sin().sum(),
    "solve, columns": lambda x: torch.linalg.solve(SQUARE * x[:, :1, :1], x[:, 0, :2]).sin().sum(),
    "solve, one for all": lambda x: torch.linalg.solve(SQUARE[0] * x[0, 0, 0], x[:, :2]).sin().sum(),
    "slogdet": lambda x: sum(map(torch.sum, torch.linalg.slogdet(SQUARE + x[:, :2, :2]))),
    "solve, by keyword": lambda x: torch.linalg.solve(B=x[:, :2], A=SQUARE.sin()).sin().sum(),
    "slogdet, by keyword": lambda x: torch.linalg.slogdet(A=SQUARE + x[:, :2, :2])[1].sin().sum(),
    "slogdet, of torch": lambda x: torch.slogdet(input=SQUARE + x[:, :2, :2])[1].sin().sum(),
    "slogdet, complex": lambda x: torch.linalg.slogdet(torch.complex(SQUARE, x[:, :2, :2]))[0].real.sum(),
    "logdet, complex": lambda x: torch.logdet(torch.complex(SQUARE, x[:, :2, :2])).imag.sin().sum(),
    "slogdet, named": lambda x: (SQUARE + x[:, :2, :2]).slogdet().logabsdet.sin().sum(),
    "logdet": lambda x: torch.logdet(x @ x.mT + torch.eye(3)).sin().sum(),
}


@pytest.mark.parametrize("name", SPELLED_OUT)
def test_spelled_out_is_what_the_fused_one_gives(name):
    """Its value and its gradient, which the fused one has right."""

    def taken():
        x = X.clone().requires_grad_()
        value = SPELLED_OUT[name](x)
        return value, torch.autograd.grad(value, x)[0]

    expected = taken()
    with composed():
        torch.testing.assert_close(taken(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("diagonal", [[1.0, -1.0], [0.0, 1.0], [0.0, 0.0], [-2.0, -1.0]])
def test_determinants_spelled_out_are_those_of_any_sign_and_none(diagonal):
    matrix = torch.diag(torch.tensor(diagonal))
    expected = *torch.linalg.slogdet(matrix), torch.logdet(matrix)
    with composed():
        found = *torch.linalg.slogdet(matrix), torch.logdet(matrix)
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_out_is_left_to_the_operation_itself():
    out = torch.empty(2, 2)
    with composed():
        torch.linalg.solve(2 * torch.eye(2), torch.eye(2), out=out)
    torch.testing.assert_close(out, 0.5 * torch.eye(2))
