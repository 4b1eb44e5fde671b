"""Stopping a reply: an interrupt ends it once, and only while there is something to end."""

from __future__ import annotations

import _thread
import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["Stopper"]


class Stopper:
    """Turns interrupts into one `KeyboardInterrupt`, while the main thread waits for a reply.

    A signal wakes whatever the thread waits in: the connection, the headers, the next chunk, with
    any client. The kernel's interrupt and Ctrl-C are signals; `stop` sends one from another thread.
    What comes before `listen` is kept for it; what comes once the reply has ended, or been
    stopped, changes nothing, so that stopping twice cannot lose what has arrived. In another thread
    than the main one nothing is changed, for signals do not arrive there.

    Examples
    --------
    >>> import threading
    >>> with Stopper() as stopper:
    ...     threading.Timer(0.1, stopper.stop).start()
    ...     try:
    ...         stopper.listen()
    ...         threading.Event().wait(60)
    ...     except KeyboardInterrupt:
    ...         print("stopped")
    stopped
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._listening = False
        self._asked = False
        self._open = False
        self._lock = threading.Lock()  # no signal is on its way when the old handler returns

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):  # else interrupts are ignored, or end the process
                signal.signal(signal.SIGINT, self._interrupted)
                self._before, self._open = before, True
        return self

    def __exit__(self, *error: object) -> None:
        self._listening = False
        with self._lock:
            self._open = False
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def listen(self) -> None:
        """Let interrupts through from now on."""
        if self._open:
            self._listening = True
            if self._asked:
                self._interrupted()

    def over(self) -> None:
        """Let no interrupt through any more: what is left to do takes a moment."""
        self._listening = False

    def stop(self) -> None:
        """Interrupt the main thread, from any thread."""
        with self._lock:
            if not self._open:
                return
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                _thread.interrupt_main()

    def _interrupted(self, number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
        self._asked = True
        if self._listening:
            self._listening = False
            raise KeyboardInterrupt
