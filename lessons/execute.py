"""Run the lessons and pair each `.py` with its executed `.ipynb`; with `--check`, say instead which are stale.

`python lessons/execute.py [--check] [01_second_backward ...]`. Every lesson runs in a kernel of its own, on the CPU.
"""

import os
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
EXAMPLES = ["port_a_transformer"]
LESSONS = sorted(path.stem for path in HERE.glob("[0-9]*.py")) + EXAMPLES
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONPATH": str(HERE.parent),  # this clone's code, whichever is installed
}


def execute(name: str) -> nbformat.NotebookNode:
    """The lesson with its outputs, and with nothing that changes from run to run."""
    notebook = jupytext.read(HERE / f"{name}.py")
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(HERE)}})
    client.execute(env=os.environ | ENVIRONMENT)
    notebook.metadata.pop("language_info", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = merged(cell.outputs)
    return notebook


def merged(outputs: list) -> list:
    """Consecutive pieces of standard output as one: where they are cut is a matter of timing. stderr is left out."""
    kept: list = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def answers(notebook: nbformat.NotebookNode) -> list[tuple[str, list]]:
    """What must not be stale: every source, and every output; of a picture only that there is one."""
    found = []
    for cell in notebook.cells:
        shown = []
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text")})
            shown.append("picture" if "image/png" in data else data.get("text/markdown", data.get("text/plain")))
        found.append((cell.source, shown))
    return found


def stale(name: str) -> str | None:
    """The first cell of the committed notebook that a run does not give, or None."""
    committed = answers(nbformat.read(HERE / f"{name}.ipynb", as_version=4))
    fresh = answers(execute(name))
    for number, (old, new) in enumerate(zip(committed, fresh, strict=False)):
        if old != new:
            return f"{name}, cell {number}: committed\n{old}\nnow\n{new}"
    return None if len(committed) == len(fresh) else f"{name}: {len(committed)} cells committed, {len(fresh)} now"


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    names = [a for a in arguments if a != "--check"] or LESSONS
    if unknown := [name for name in names if name not in LESSONS]:
        print(f"error: lesson {unknown[0]!r} is not known (accepted: {', '.join(LESSONS)})", file=sys.stderr)
        return 2
    old = 0
    for name in names:
        if not check:
            nbformat.write(execute(name), HERE / f"{name}.ipynb")
            print(f"written: {name}.ipynb")
        elif difference := stale(name):
            old += 1
            print(f"stale: {difference}\nrun `make lessons`")
    return int(old > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
