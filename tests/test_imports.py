"""Walls between the sides, and doors that stay shut until a framework is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FRAMEWORKS = {"torch", "jax", "flax"}


def modules(side: str) -> list[str]:
    paths = sorted((ROOT / side).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def command(*argv: str) -> str:
    return f"import sys; sys.argv[1:] = {list(argv)}; from comparisons.cli import app; app(standalone_mode=False)"


MATCH = "from gradparity import assert_gradients_match as match; match({'l': {'w': [1.0]}}, {'l': {'w': [1.0]}})"


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import " + ", ".join(modules("torch_impl")), {"jax", "flax", "optax", "jax_impl", "comparisons"}),
        ("import " + ", ".join(modules("jax_impl")), {"torch", "torch_impl", "comparisons"}),
        ("import gradparity; dir(gradparity)", FRAMEWORKS),
        ("import comparisons.problems, comparisons.difference, comparisons.layout", FRAMEWORKS),
        (MATCH, FRAMEWORKS),
        (command("--help"), FRAMEWORKS),
        (command("show", "summed"), FRAMEWORKS),
    ],
    ids=["torch_impl", "jax_impl", "gradparity", "numpy-only", "assert_gradients_match", "help", "show"],
)
def test_what_is_imported(code, forbidden):
    report = f"{code}\nimport sys; print(*sorted({forbidden!r} & sys.modules.keys()), file=sys.stderr)"
    found = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stderr.strip() == ""


def test_the_public_face_lists_and_refuses():
    import gradparity

    assert {"assert_gradients_match", "GradientMismatch"} <= set(dir(gradparity))
    for name in gradparity.__all__:
        assert getattr(gradparity, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'; it offers"):
        gradparity.nothing  # noqa: B018
