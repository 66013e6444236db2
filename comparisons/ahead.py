"""Units worked on by several processes, before their turn comes."""

import gc
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from time import process_time
from typing import NamedTuple

from comparisons.rows import Row, Unit
from comparisons.usage import quiet

worked: list[Unit] = []  # by this process


class Used(NamedTuple):
    """What one process has used so far."""

    seconds: float
    bytes: int


def used() -> Used:
    """Seconds on a processor, and the most memory that this process has had.

    Linux's `ru_maxrss` begins with the parent's at the fork; `VmHWM` is the program's own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return Used(process_time(), int(line.split()[1]) * 1024)
    import resource

    return Used(process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def ahead(units: list[Unit], jobs: int, by_process: dict[int, Used] | None = None) -> list[Unit]:
    """The same units, worked on by as many processes as `jobs` from the first one's turn on.

    What is timed comes first, and stays in this process. What each other process has used goes into `by_process`. Rows
    come in order; whoever stops before the last unit calls `end`, and loses what is done out of turn.
    BrokenProcessPool if a process dies.
    """
    if jobs == 1:
        return units
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start)
    shared = [unit for unit in units if not unit.timed]
    futures: list[Future] = []

    def rows(number: int) -> list[Row]:
        if not futures:
            with _unreached():
                futures.extend(pool.submit(_work, unit) for unit in shared)
        found, process, spent = futures[number].result()
        if by_process is not None:
            by_process[process] = spent
        if number == len(shared) - 1:
            pool.shutdown()  # else the interpreter's exit finds its pipe closed
        return found

    waiting = [unit._replace(rows=partial(rows, number)) for number, unit in enumerate(shared)]
    return [unit for unit in units if unit.timed] + waiting


def end() -> None:
    """Nothing is worked on any more: each process is ended where it is."""
    for child in active_children():
        child.terminate()


@contextmanager
def _unreached() -> Iterator[None]:
    """Ctrl-C waits, and never reaches the processes that start here: `end` does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    """What each process begins with. Traces make many objects and few cycles: the collector looks less often."""
    Thread(target=_end_with_the_first, daemon=True).start()
    quiet()
    gc.set_threshold(100_000)


def _end_with_the_first() -> None:
    """However that ends: nobody else would tell the others."""
    first = parent_process()
    assert first
    first.join()
    os._exit(1)


def _work(unit: Unit) -> tuple[list[Row], int, Used]:
    """One unit; JAX forgets a group's programs where another group begins, as it does in a run by one process."""
    import jax

    if worked and worked[-1].group != unit.group:
        jax.clear_caches()
    worked.append(unit)
    return unit.rows(), os.getpid(), used()
