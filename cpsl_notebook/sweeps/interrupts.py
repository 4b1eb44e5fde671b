"""Interrupts while a sweep runs: the first ends it gracefully, the second immediately."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["interrupts_call"]


@contextlib.contextmanager
def interrupts_call(stop: Callable[[], None], abandon: Callable[[], None]) -> Iterator[None]:
    """Call *stop* at the first interrupt and *abandon* at the second; a third one is raised.

    Signals arrive only in the main thread. In another thread, nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    waiting = [stop, abandon]

    def handle(number: int, frame: FrameType | None) -> None:
        if not waiting:
            raise KeyboardInterrupt
        waiting.pop(0)()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
