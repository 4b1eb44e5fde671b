"""Stopping a reply: an interrupt ends it once, and only while it is being read."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from cpsl_notebook.compat import interrupt_main_thread

__all__ = ["Stopper"]

_REPEAT = 0.5  # seconds in which a second interrupt counts as the first one, as in a double click


class Stopper:
    """A context manager that limits interrupts to times in which they are safe.

    These are the time between `arm` and `disarm`, and the time in `interruptible`.

    The kernel's interrupt and Ctrl-C are signals, and `stop` sends one from another thread. A
    signal ends whatever the main thread waits for: the connection, the headers, the next chunk, with
    any client. It raises `KeyboardInterrupt`. One that arrives before `arm` is raised by `arm`;
    one that arrives after `disarm`, or shortly after another one, is ignored, so stopping twice loses
    nothing that has arrived.

    In a thread other than the main one, nothing changes, because signals do not arrive there.

    Examples
    --------
    >>> import threading
    >>> with Stopper() as stopper:
    ...     threading.Timer(0.1, stopper.stop).start()
    ...     try:
    ...         stopper.arm()
    ...         threading.Event().wait(60)
    ...     except KeyboardInterrupt:
    ...         print("stopped")
    stopped
    """

    def __init__(self) -> None:
        self._previous_handler: Any = None
        self._armed = False
        self._interrupted_at: float | None = None
        self._installed = False
        # Held while sending a signal, so that none arrives after the previous handler is restored.
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):  # otherwise interrupts are ignored, or end the process
                signal.signal(signal.SIGINT, self._handle)
                self._previous_handler, self._installed = handler, True
        return self

    def __exit__(self, *error: object) -> None:
        self._armed = False
        with self._lock:
            self._installed = False
        if self._previous_handler is not None:
            signal.signal(signal.SIGINT, self._previous_handler)

    def arm(self) -> None:
        """Let an interrupt raise `KeyboardInterrupt` from now on."""
        if self._installed:
            self._armed = True
            if self._interrupted_at is not None:
                raise KeyboardInterrupt

    def disarm(self) -> None:
        """Ignore interrupts from now on; the remaining work takes only a moment."""
        self._armed = False

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let an interrupt raise `KeyboardInterrupt` in a ``with`` block."""
        self._armed = self._installed
        try:
            yield
        finally:
            self._armed = False

    def stop(self) -> None:
        """Interrupt the main thread, from any thread."""
        with self._lock:
            if not self._installed:
                return
            interrupt_main_thread()

    def _handle(self, number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
        now, before = time.monotonic(), self._interrupted_at
        if before is not None and now - before < _REPEAT:
            return
        self._interrupted_at = now
        # Python drops what is raised in some places, such as a callback of a weak reference. So this
        # stays armed, and another interrupt can follow.
        if self._armed:
            raise KeyboardInterrupt
