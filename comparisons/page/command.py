"""`python -m comparisons report FILE...`: results read, the page or its text written."""

import time
from collections.abc import Sequence
from pathlib import Path

from comparisons import page, usage

FORMATS = {"html": "index.html", "markdown": "summary.md", "csv": "csv"}


def report(files: Sequence[Path], form: str, output: Path | None) -> int:
    """Checks everything about the request, then writes; returns the exit status."""
    usage.known("--format", [form], FORMATS)
    runs = page.read(files)
    path = output or Path("report") / FORMATS[form]
    if form == "csv":
        folder(path)
        from comparisons.page.exports import write_csv

        print(f"written: {len(write_csv(runs, path))} files in {path}")
        return 0
    if not output:
        folder(path.parent)
    usage.writable("--output", path, FORMATS[form])
    if path.exists() and any(path.samefile(file) for file in files):
        raise usage.BadUsage(f"--output {str(path)!r} is one of the results files: the page would replace it")
    if form == "markdown":
        from comparisons.page.exports import markdown

        path.write_text(markdown(runs))
        print(f"written: {path}")
        return 0
    start = time.perf_counter()
    size = write(path, runs)
    print(f"written: {path}, {size / 1e6:.1f} MB in {time.perf_counter() - start:.1f} s")
    return 0


def write(path: Path, runs: Sequence[page.Run]) -> int:
    """The page in one step: a reader sees the old one or the new one. Gives its bytes."""
    text = page.html(runs).encode()
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(text)
    partial.replace(path)
    return len(text)


def folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise usage.BadUsage(f"--output {str(path)!r} cannot be made: {error.strerror}") from None
