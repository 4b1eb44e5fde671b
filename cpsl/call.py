"""The time limits of one client call, and its cancellation from another thread.

A call is cancelled by shutting down its socket. This wakes the thread that waits for the service,
also while it connects. Closing the response is not enough: that hangs while another thread reads, and
before the headers arrive there is no response. Each connection of `cpsl.connections` therefore
registers a function that shuts down its socket with the call that runs on its thread, and
`Call.cancel` runs that function.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from cpsl.timeouts import Timeout

__all__ = ["Call", "current_call"]

_IDLE = 1.0  # seconds after which the watchdog's thread ends if no call has a deadline
_running = threading.local()  # the call whose request runs on this thread


class Call:
    """The limits of one call, and its cancellation; safe to use from any thread.

    Parameters
    ----------
    timeout : Timeout
        The time limits of each request.
    max_seconds : float, optional
        The time limit of the whole call, in seconds from now.

    Attributes
    ----------
    sent : bool
        Whether any part of the last request may have reached the service.
    repeatable : bool
        Whether the last request may be sent again although the service may have acted on it.
    cancelled : bool
        Whether the call was cancelled.
    expired : bool
        Whether the call was cancelled because `max_seconds` had passed.
    """

    def __init__(self, timeout: Timeout, max_seconds: float | None = None) -> None:
        self.timeout = timeout
        self.max_seconds = max_seconds
        self.sent: bool = False
        self.repeatable: bool = True
        self.cancelled: bool = False
        self.expired: bool = False
        self._pid = os.getpid()
        self._cancel_event = threading.Event()
        self._abort: Callable[[], object] | None = None
        self._lock = threading.RLock()  # a signal handler may run on the same thread
        self._deadline = math.inf
        if max_seconds is not None:
            self.limit(max_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()

    @property
    def seconds_left(self) -> float:
        """Seconds until the time limit of the call; infinite without one."""
        return self._deadline - time.monotonic()

    def limit(self, seconds: float) -> None:
        """Cancel the call after these seconds."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)
        _watchdog.add(self, self._deadline)

    @contextlib.contextmanager
    def watch(self, *, repeatable: bool) -> Iterator[None]:
        """Make this the current call of the thread within the block."""
        self.sent, self.repeatable = False, repeatable
        _running.call = self
        try:
            yield
        finally:
            _running.call = None

    def attach(self, abort: Callable[[], object]) -> None:
        """Register the function that ends the current wait; run it now if the call is cancelled."""
        with self._lock:
            self._abort = abort
            if self.cancelled:
                self._end_wait()

    def finish(self) -> None:
        """Detach from the connection, which another call may use now."""
        with self._lock:
            self._abort = None
        _watchdog.discard(self)

    def cancel(self) -> None:
        """Cancel the call."""
        with self._lock:
            self.cancelled = True
            self._cancel_event.set()
            self._end_wait()

    def expire(self) -> None:
        """Cancel the call because its time limit has passed."""
        self.expired = not self.cancelled
        self.cancel()

    def wait(self, seconds: float) -> bool:
        """Sleep for some seconds or until the call is cancelled; return whether it is."""
        return self._cancel_event.wait(seconds)

    def _end_wait(self) -> None:
        # A forked process shares the connection: shutting it down would end the parent's reply.
        if self._abort is not None and self._pid == os.getpid():
            self._abort()


def current_call() -> Call | None:
    """Return the call whose request runs on this thread."""
    return getattr(_running, "call", None)


class _Watchdog:
    """One thread that cancels calls whose time limit has passed."""

    def __init__(self) -> None:
        self._due: dict[Call, float] = {}
        self._changed = threading.Condition()
        self._running = False
        self._wakes = math.inf  # when the thread wakes up next

    def add(self, call: Call, deadline: float) -> None:
        with self._changed:
            if not self._running:
                threading.Thread(target=self._run, name="cpsl deadlines", daemon=True).start()
                self._running = True  # not if the thread could not be started
            self._due[call] = deadline
            if deadline < self._wakes:
                self._changed.notify()

    def discard(self, call: Call) -> None:
        if call in self._due:  # most calls have no deadline
            with self._changed:
                self._due.pop(call, None)

    def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            with self._changed:
                now = time.monotonic()
                over = [call for call, deadline in self._due.items() if deadline <= now]
                for call in over:
                    del self._due[call]
                if over or self._due:
                    idle_since = now
                elif now - idle_since >= _IDLE:
                    self._running = False
                    return
                if not over:
                    # Wake up even if no deadline is near, to notice that all calls have ended.
                    self._wakes = min([*self._due.values(), now + _IDLE])
                    self._changed.wait(self._wakes - now)
            for call in over:
                call.expire()


_watchdog = _Watchdog()


def _replace_watchdog() -> None:
    """Replace the watchdog in a forked process: its thread is gone and its lock may be held."""
    global _watchdog
    _watchdog = _Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_watchdog)
