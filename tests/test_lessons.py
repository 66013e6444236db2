"""The lessons: paired, fresh, answered, and the way from each question to its notebook."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import exercises
import pytest
import support
import torch

from comparisons.pitfalls.table import CARDS, SECTIONS

LESSONS = Path(__file__).parent.parent / "lessons"
NAMES = sorted(path.stem for path in LESSONS.glob("[0-9]*.py"))
EXAMPLES = ["port_a_transformer"]


@pytest.fixture(scope="module")
def execute():
    return pytest.importorskip("execute", reason="jupytext and nbclient are not installed: pip install '.[dev]'")


def committed(execute, name: str):
    return execute.nbformat.read(LESSONS / f"{name}.ipynb", as_version=4)


def test_there_are_eight():
    assert [name[:2] for name in NAMES] == [f"0{k}" for k in range(1, 9)]


@pytest.mark.parametrize("name", NAMES + EXAMPLES)
def test_the_notebook_has_the_files_cells_and_their_outputs(execute, name):
    cells = committed(execute, name).cells
    assert [c.source for c in cells] == [c.source for c in execute.jupytext.read(LESSONS / f"{name}.py").cells]
    assert all(c.execution_count for c in cells if c.cell_type == "code")
    assert not [o for c in cells for o in c.get("outputs", []) if o.output_type == "error"]


@pytest.mark.parametrize("name", NAMES)
def test_each_says_how_to_run_asks_for_a_prediction_and_ends_in_an_exercise(execute, name):
    cells = committed(execute, name).cells
    assert all(word in cells[0].source for word in ("Jupyter", "Colab", "ADDRESS", "pip install", "make lessons"))
    assert any(c.source.startswith("prediction = None") for c in cells)
    assert any("redict" in c.source for c in cells if c.cell_type == "markdown")
    assert "support.check(exercises." in cells[-1].source
    assert cells[-1].outputs[0].text == "Not answered yet.\n"


@pytest.mark.parametrize(
    "name", [n if n[:2] == "02" else pytest.param(n, marks=pytest.mark.slow) for n in NAMES + EXAMPLES]
)
def test_a_run_gives_what_is_committed(name):
    run = subprocess.run([sys.executable, LESSONS / "execute.py", "--check", name], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("where", ["source", "output"])
def test_a_stale_cell_is_found(execute, monkeypatch, where):
    fresh = copy.deepcopy(committed(execute, NAMES[0]))
    monkeypatch.setattr(execute, "execute", lambda name: fresh)
    assert execute.stale(NAMES[0]) is None
    cell = next(c for c in fresh.cells if c.get("outputs") and c.outputs[0].output_type == "stream")
    if where == "source":
        cell.source += " "
    else:
        cell.outputs[0].text = cell.outputs[0].text.replace("1", "2", 1)
    assert execute.stale(NAMES[0]).startswith(f"{NAMES[0]}, cell")


def test_an_unknown_lesson_is_refused(execute, capsys):
    assert execute.main(["09_nothing"]) == 2
    assert "lesson '09_nothing' is not known (accepted: 01_second_backward" in capsys.readouterr().err


def _hvp(f, w, v):
    (first,) = torch.autograd.grad(f(w), w, create_graph=True)
    return torch.autograd.grad(first, w, v)[0]


def _one_each(values, w):
    return {name: torch.autograd.grad(value, w, retain_graph=True)[0] for name, value in values.items()}


def _stored(values, w):
    for value in values.values():
        value.backward(retain_graph=True)
    return dict.fromkeys(values, w.grad)


def _safe(w):
    return torch.where(w > 0, torch.where(w > 0, w, 1).sqrt(), 0)


def _both(d_loss, g_loss, d, g):
    return torch.autograd.grad(d_loss, d, retain_graph=True)[0], torch.autograd.grad(g_loss, g)[0]


def _accumulate(loss, w, parts):
    w.grad = None
    for part in parts:
        (loss(w, part) * len(part) / sum(map(len, parts))).backward()


def _accumulate_wrong(loss, w, parts):
    w.grad = None
    for part in parts:
        loss(w, part).backward()


ANSWERS = [
    (exercises.passes_twice, lambda v: (3 * torch.cat([v, v])).sum(), "the second backward raises"),
    (exercises.passes_twice, lambda v: (v + v).sum(), "gradient is [2.0, 2.0, 2.0]"),
    (exercises.passes_twice, lambda v: torch.cat([v] * 5).sum(), None),
    (exercises.one_gradient_each, _stored, "`w.grad` was changed"),
    (exercises.one_gradient_each, lambda values, w: 1, "return a dict"),
    (exercises.one_gradient_each, _one_each, None),
    (exercises.hessian_times_vector, lambda f, w, v: torch.autograd.grad(f(w), w)[0], "expected"),
    (
        exercises.hessian_times_vector,
        lambda f, w, v: torch.autograd.grad(torch.autograd.grad(f(w), w)[0], w, v),
        "graph",
    ),
    (exercises.hessian_times_vector, _hvp, None),
    (exercises.bytes_left, 0, "frees only what it visits"),
    (exercises.bytes_left, 8192, "it is not 8,192"),
    (exercises.bytes_left, 64 * 32 * 4 + 4 * 64 * 4, None),
    (exercises.ratio_of_sixteen, 16, "more than 5% off"),
    (exercises.ratio_of_sixteen, 10.5, None),
    (exercises.safe_square_root, lambda w: torch.where(w > 0, w.sqrt(), 0), "The branch not taken"),
    (exercises.safe_square_root, _safe, None),
    (exercises.two_players, lambda a, b, d, g: (a.backward(retain_graph=True), b.backward()), "was changed"),
    (exercises.two_players, lambda a, b, d, g: torch.autograd.grad(a + b, (d, g)), "discriminator's gradient is"),
    (exercises.two_players, _both, None),
    (exercises.accumulates, _accumulate_wrong, "12 is the sum"),
    (exercises.accumulates, lambda loss, w, parts: loss(w, parts[0]).backward(), "still in it"),
    (exercises.accumulates, _accumulate, None),
]


@pytest.mark.parametrize(
    ("exercise", "answer", "hint"), ANSWERS, ids=[f"{e.__name__}, {h or 'right'}" for e, _, h in ANSWERS]
)
def test_the_exercise_knows_right_from_wrong(exercise, answer, hint, capsys):
    support.check(exercise, answer)
    verdict = capsys.readouterr().out
    assert verdict.startswith("Not yet: " if hint else "Right: ")
    assert (hint or "") in verdict


def test_each_exercise_stands_at_a_lessons_end():
    asked = [re.search(r"exercises\.(\w+)", (LESSONS / f"{n}.py").read_text().splitlines()[-1]).group(1) for n in NAMES]
    assert asked == list(dict.fromkeys(exercise.__name__ for exercise, _, _ in ANSWERS))


def test_every_question_has_two_answers_a_notebook_and_a_command():
    text = (LESSONS / "README.md").read_text()
    questions = re.split(r"^\d+\. ", text.partition("# Twelve questions")[2], flags=re.MULTILINE)[1:]
    assert len(questions) == 12
    for question in questions:
        assert "*PyTorch:*" in question
        assert "*JAX:*" in question
        assert re.search(r"`(lesson|pitfalls|memory|gradients)", question.rpartition("·")[2])
        assert set(re.findall(r"`pitfalls --name (\w+)`", question)) <= {*CARDS, *SECTIONS}
        links = re.findall(r"\((\w+)\.ipynb\)", question)
        assert links
        assert set(links) <= set(NAMES)
    assert set(re.findall(r"\((\w+)\.ipynb\)", text)) == {*NAMES, *EXAMPLES}
