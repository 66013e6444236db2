"""torch_impl and jax_impl are a mirror: the same files, public names and parameter names, but for what is listed."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ONE_SIDED = {
    ("training/gan.py", "gan_wrong_retained"): "torch: JAX has no graph to retain",
    ("training/recurrent.py", "truncated_wrong_retained"): "torch: JAX has no graph to retain",
    ("higher_order/composed.py", ""): "torch: fused operators have a wrong or no derivative in forward mode",
    ("higher_order/derivatives.py", "backward_twice"): "torch: what separates `retain_graph` from `create_graph`",
    ("higher_order/derivatives.py", "recorded"): "torch: the derivative by `create_graph`; JAX nests `grad`",
    ("higher_order/tree.py", "recording"): "torch: parameters must require grad; JAX differentiates any array",
    ("higher_order/tree.py", "ravel"): "torch: JAX has `jax.flatten_util.ravel_pytree`",
    ("first_order/tree.py", "grad"): "torch: `autograd.grad` takes a list; `jax.grad` takes the dict",
    ("first_order/tree.py", "head_grad"): "torch: the cut is a detach; in JAX it is `jax.grad(head, (0, 1))`",
    ("first_order/tree.py", "behind"): "torch: a graph is there to be walked; in JAX the backward is a function",
    ("first_order/tree.py", "head_grads"): "torch: several heads in one backward; XLA has no call to save",
    ("first_order/tree.py", "reached"): "torch: the graph says it; in JAX an untouched parameter has zeros",
    ("first_order/tree.py", "constants"): "torch: `torch.func` would be recorded by autograd too; JAX records nothing",
    ("memory/allocations.py", ""): "torch: what operators return, as they run; JAX's shapes are in the trace",
    (
        "models/recurrent.py",
        "own_kernels",
    ): "torch: its LSTM may be a library's; Flax's is of JAX's own",
    ("models/attention.py", "attend"): "jax: Flax's own attention takes a float64 softmax in float32",
    (
        "pitfalls/compiled.py",
        "compiled_second_order_silent",
    ): "torch: the same failure by another call, without an error",
    ("pitfalls/compiled.py", "recompiled"): "jax: a new program for each K and each closure; torch runs eagerly",
}


def public(side: str) -> dict[tuple[str, str], list[str]]:
    """(file, name) -> parameter names of every public function; a class has none."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted((ROOT / side).rglob("*.py")):
        file = str(path.relative_to(ROOT / side))
        found[file, ""] = []
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                found[file, node.name] = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[file, node.name] = []
    return found


SIDES = {side: public(side) for side in ("torch_impl", "jax_impl")}


NAMES = sorted(set(SIDES["torch_impl"]) | set(SIDES["jax_impl"]))
# What goes wrong differs: a pitfall's remedy stands where the failure is, and takes what the failure needs.
PITFALLS = [name for name in NAMES if name[0].startswith("pitfalls/")]
# Each framework has its own: what has no second derivative; saved tensors of a graph, and residuals of a pullback.
OWN = [
    name
    for name in NAMES
    if name[0].startswith(("memory/", "higher_order/limits.py", "higher_order/composed.py")) and name[1]
]
MIRRORED = [name for name in NAMES if name not in PITFALLS + OWN]


def text(name: tuple[str, str]) -> str:
    return " ".join(name).strip()


@pytest.mark.parametrize("name", MIRRORED, ids=text)
def test_both_sides_have_it_with_the_same_parameters(name):
    torch, jax = SIDES["torch_impl"].get(name), SIDES["jax_impl"].get(name)
    if name in ONE_SIDED:
        assert (torch is None) != (jax is None), "it stands on both sides: take it out of ONE_SIDED"
    else:
        assert torch == jax, "on one side only, or other parameters: mirror it, or give the reason in ONE_SIDED"


@pytest.mark.parametrize("name", PITFALLS, ids=text)
def test_a_pitfall_stands_on_both_sides_and_a_remedy_beside_it(name):
    file, card = name
    sides = [found for found in SIDES.values() if name in found]
    if card.endswith("_fixed"):
        assert all((file, card.removesuffix("_fixed")) in found for found in sides)
    else:
        assert (len(sides) == 1) == (name in ONE_SIDED)


def test_what_is_listed_exists():
    assert set(ONE_SIDED) <= set(SIDES["torch_impl"]) | set(SIDES["jax_impl"])


def test_the_memory_instruments_share_their_names():
    """Graphs and pullbacks are looked at differently; `held`, `peak` and `phases` are what both are asked."""
    for file, name in (("held.py", "held"), ("held.py", "Ledger"), ("peak.py", "peak"), ("phases.py", "phases")):
        assert all((f"memory/{file}", name) in found for found in SIDES.values())
