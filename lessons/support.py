"""What the notebooks share: sources shown, predictions and exercises compared with what is measured."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from IPython.display import Markdown, display

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # from a clone, without an install


def show(*functions: Callable) -> None:
    """Each function's source as it stands in its file, under the file's name."""
    for function in functions:
        path = Path(inspect.getsourcefile(function) or "").resolve().relative_to(ROOT)
        display(Markdown(f"`{path}`\n```python\n{inspect.getsource(function)}```"))


def compare(prediction, measured) -> None:
    """What the reader predicted, beside what was measured."""
    shown = sorted(measured) if isinstance(measured, set) else measured
    if prediction is None:
        verdict = "you have not predicted yet"
    else:
        same = prediction == (list(measured) if isinstance(prediction, list) else measured)
        verdict = "as you predicted" if same else f"you predicted {prediction}"
    print(f"measured: {shown} ({verdict})")


def check(exercise: Callable, answer) -> None:
    """The verdict on an answer, by the exercise's own check."""
    try:
        print("Not answered yet." if answer is None else exercise(answer))
    except Exception as error:
        print(f"Not yet: this answer cannot be tried. {type(error).__name__}: {str(error).splitlines()[0]}")


def raises(function: Callable, *arguments, **options) -> str | None:
    """The first sentence of the error that the call raises, or None."""
    try:
        function(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0].split('. ')[0]}"
    return None
