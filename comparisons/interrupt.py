"""Ctrl-C raises as ever and is remembered, for in a finalizer or a callback of the garbage collector it is lost."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

pressed: list[int] = []


@contextmanager
def remembered() -> Iterator[None]:
    """`pressed` holds every Ctrl-C of this block that nobody has taken out; one that is ignored stays so."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return

    def press(number: int, frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    before, hook = signal.signal(signal.SIGINT, press), sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else hook(lost)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook


def check() -> None:
    """KeyboardInterrupt if one was lost."""
    if pressed:
        raise KeyboardInterrupt
