"""Units worked on by a process for each core, before their turn comes."""

import gc
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import NamedTuple

from comparisons.rows import Row, Unit


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
    return Used(process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def ahead(units: list[Unit], by_process: dict[int, Used]) -> list[Unit]:
    """The same units: the first one's turn starts them all, and what each process used goes into `by_process`."""
    pool = ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn"), initializer=_start)
    futures: dict[int, Future] = {}

    def rows(number: int) -> list[Row]:
        if not futures:
            futures.update({k: pool.submit(_work, unit.rows) for k, unit in enumerate(units)})
        try:
            found, process, by_process[process] = futures[number].result()
            if number == len(units) - 1:
                pool.shutdown()  # else the interpreter's exit finds its pipe closed
            return found
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

    return [unit._replace(rows=partial(rows, number)) for number, unit in enumerate(units)]


def _start() -> None:
    """Ctrl-C ends a worker at once; traces make many objects and few cycles, so the collector looks less often."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(100_000)


def _work(rows: Callable[[], list[Row]]) -> tuple[list[Row], int, Used]:
    return rows(), os.getpid(), used()
