"""`python -m comparisons check`: a reader's own two files, and the worked example."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from comparisons import cli

ROOT = Path(__file__).parent.parent
TORCH = """
import numpy as np, torch
def params():
    return {"l.weight": np.arange(6.0).reshape(2, 3) / 5, "l.bias": np.ones(2)}
def losses(p):
    return {"main": torch.tanh(p["l.weight"].sum(1) + p["l.bias"]).sum(), "aux": (p["l.bias"] ** 2).sum()}
def vector(p):
    return {"main": p["l.weight"], "aux": p["l.bias"].sum()}
def broken(p):
    return {"main": p["nothing"]}
constant = 3
"""
JAX = """
import jax.numpy as jnp
import gradparity
layout = {"l": gradparity.layout.linear(3, 2)}
def losses(p):
    return {"main": jnp.tanh(p["l.kernel"].sum(0) + p["l.bias"]).sum(), "aux": (p["l.bias"] ** 2).sum()}
def halved(p):
    return losses(p) | {"aux": (p["l.bias"] ** 2).sum() / 2}
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """The command on the files above; its exit status, and what it printed."""
    (tmp_path / "kit_torch.py").write_text(TORCH)
    (tmp_path / "kit_jax.py").write_text(JAX)
    (tmp_path / "kit_import.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "kit_syntax.py").write_text("def losses(p): return {\n")
    (tmp_path / "kit_exits.py").write_text("params = lambda: {'w': [1.0]}\ndef losses(p): raise SystemExit(5)\n")
    (tmp_path / "kit_odd.py").write_text("layout = {'l': 3}\nlosses = params = lambda *p: [3]\n")
    np.save(tmp_path / "one.npy", np.ones(2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["comparisons", "check", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        found = capsys.readouterr()
        return stopped.value.code, found.out + found.err

    yield run
    for name in ("kit_torch", "kit_jax", "kit_import", "kit_odd", "kit_exits", "kit_names", "kit_near"):
        sys.modules.pop(name, None)


def test_equal_files_exit_0(check):
    status, text = check("kit_torch.py:losses", "kit_jax.py:losses")
    assert status == 0
    assert "gradients agree in all 4" in text


def test_modules_and_a_file_of_arrays_do_too(check):
    np.savez("arrays.npz", **{"l.weight": np.ones((2, 3)), "l.bias": np.zeros(2)})
    assert check("kit_torch:losses", "kit_jax:losses", "--params", "arrays.npz")[0] == 0


@pytest.mark.parametrize(("jax", "status"), [("losses", 0), ("halved", 1)])
def test_what_was_compared_is_written(check, jax, status):
    assert check("kit_torch.py:losses", f"kit_jax.py:{jax}", "--order", "2", "--json", "found.json")[0] == status
    document = json.loads(Path("found.json").read_text())
    rows = {row["id"]: row for row in document["check"]}
    assert document["schema"] == 1
    assert rows["check/gradient/main/l.weight"]["status"] == rows["check/value/main"]["status"] == "ok"
    assert all(("reason" in row) == (row["status"] != "ok") for row in rows.values())
    if status:
        assert rows["check/value/aux"]["status"] == rows["check/gradient/aux/l.bias"]["status"] == "differs"
        assert "0.5 x expected" in rows["check/gradient/aux/l.bias"]["reason"]
        assert rows["check/slope/aux/torch"]["right"] is rows["check/slope/aux/jax"]["right"] is True
    else:
        assert {row["kind"] for row in rows.values()} == {"value", "gradient", "product", "float32"}
        assert len(rows) == 2 + 4 + 2 * 4 + 2 * 4


def test_every_pair_that_differs_is_printed(check):
    names = [f"p{k:02}" for k in range(14)]
    Path("kit_many.py").write_text(
        f"import numpy as np\ndef params(): return {{n: np.ones(2) for n in {names}}}\n"
        "def losses(p): return {'a': sum((q ** 2).sum() for q in p.values())}\n"
        "def wrong(p): return {'a': losses(p)['a'] / 2}\n"
    )
    status, text = check("kit_many.py:losses", "kit_many.py:wrong")
    assert status == 1
    assert "and 4 more pairs: `.difference.unequal` has them all" in text
    assert all(f"d a / d {name} " in text for name in names)


def test_a_difference_exits_1_and_is_explained(check):
    status, text = check("kit_torch.py:losses", "kit_jax.py:halved", "--explain", "aux", "l.bias")
    assert status == 1
    assert "loss values differ in 1 of 2" in text
    assert "mapped by 'l' -> 'l' by `linear`: `nn.Linear` (out, in) is `nnx.Linear` (in, out)." in text
    assert "factor: jax / torch is 0.5 in the middle, from 0.5 to 0.5" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kit_torch.py", "kit_jax.py:losses"), "TORCH 'kit_torch.py': give path/to/file.py:losses"),
        (("none.py:losses", "kit_jax.py:losses"), "there is no file 'none.py'"),
        (("no_such_module:losses", "kit_jax.py:losses"), "there is no module 'no_such_module'"),
        (("kit_torch.py:loses", "kit_jax.py:losses"), "did you mean 'losses'?"),
        (("kit_torch.py:constant", "kit_jax.py:losses"), "constant is no function (it is of type int)"),
        (("kit_torch.py:vector", "kit_jax.py:losses"), "torch: loss 'main' has shape [2, 3]"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--params", "kit_jax.py"), "is not an .npz"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--explain", "axu", "l.bias"), "did you mean 'aux'?"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--order", "3"), "`order` must be 1 or 2"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--tolerance", "-1"), "`tolerance` must be a number from 0 up"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--json", "."), "is a directory"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--params", "none.npz"), "No such file or directory"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--params", "one.npy"), "one array without a name"),
        (("kit_torch.py:losses", "kit_jax.py:losses", "--params", "kit_import.py"), "it holds objects, or no arrays"),
        (("kit_torch.py:losses", "kit_odd.py:losses"), "`layout` must map layer names to rows of gradparity.layout"),
        (("kit_odd.py:losses", "kit_jax.py:losses"), "params() gives a list; it must give {name: array}"),
    ],
)
def test_bad_usage_exits_2_with_one_line(check, arguments, message):
    status, text = check(*arguments)
    assert status == 2
    assert message in text.splitlines()[-1]
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("given", "file", "error"),
    [
        ("kit_syntax.py:losses", "kit_syntax.py", "SyntaxError"),
        ("kit_import.py:losses", "kit_import.py", "ModuleNotFoundError"),
        ("kit_torch.py:broken", "kit_torch.py", "KeyError"),
        ("kit_exits.py:losses", "kit_exits.py", "SystemExit: 5"),
    ],
)
def test_the_readers_own_failure_is_their_traceback(check, given, file, error):
    status, text = check(given, "kit_jax.py:losses")
    assert status == 2
    assert f'{file}"' in text
    assert error in text
    assert "comparisons/" not in text


def test_one_element_of_a_vector_is_located(check):
    Path("kit_near.py").write_text(
        "import kit_jax\nlayout = kit_jax.layout\n"
        "def losses(p): return {**kit_jax.losses(p), 'aux': kit_jax.losses(p)['aux'] + 1e-9 * p['l.bias'][1]}\n"
    )
    status, text = check("kit_torch.py:losses", "kit_near.py:losses", "--explain", "aux", "l.bias")
    assert status == 1
    assert "1 of 2 elements outside" in text
    assert "along axis 0: 1 of 2: 1" in text
    assert "from 1 to 1.0000000005" in text


def test_the_module_layout_is_no_layout(check):
    """A file that says `from gradparity import layout`."""
    Path("kit_near.py").write_text("from gradparity import layout\nlosses = __import__('kit_torch').losses\n")
    status, text = check("kit_torch.py:losses", "kit_near.py:losses")
    assert "`layout` must map" not in text
    assert status == 2


def test_a_jax_failure_is_the_readers_traceback_without_jaxs_note(check):
    Path("kit_near.py").write_text("def losses(p): return {'a': p['l.weight'].nothing()}\n")
    status, text = check("kit_torch.py:losses", "kit_near.py:losses")
    assert status == 2
    assert 'kit_near.py", line 1' in text
    assert "AttributeError" in text.splitlines()[-1]


def test_a_file_that_hides_a_framework_is_refused(check):
    Path("torch.py").write_text("losses = None\n")
    status, text = check("torch.py:losses", "kit_jax.py:losses")
    assert (status, text.splitlines()) == (
        2,
        ["error: TORCH 'torch.py:losses': a file named torch.py hides the package torch: rename it"],
    )


def test_a_name_that_no_parameter_has_is_answered_by_the_nearest(check):
    Path("kit_names.py").write_text("layout = __import__('kit_jax').layout\nlosses = lambda p: {'a': p['l.kernal']}\n")
    status, text = check("kit_torch.py:losses", "kit_names.py:losses")
    assert status == 2
    assert text.splitlines()[-2:] == [
        "KeyError: 'l.kernal'",
        "the nearest parameters: 'l.kernel', 'l.bias'",
    ]


def test_the_worked_example_finds_its_bug(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    runpy.run_path(str(ROOT / "lessons" / "port_a_transformer.py"))
    text = capsys.readouterr().out
    assert "norm1: epsilon is 1e-05 in torch and 1e-06 in Flax" in text
    assert "-> each side differentiates its own 'power' rightly: the two functions differ" in text
    assert "24 gradients agree" in text
