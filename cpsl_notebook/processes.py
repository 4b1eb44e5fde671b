"""Whether a process that was noted down still runs: its id and start time, because ids are reused."""

from __future__ import annotations

import functools
import os

__all__ = ["is_running", "this_start_time"]

_TOLERANCE = 60  # seconds by which two processes may read different start times of a third


def this_start_time() -> int:
    """Return when this process started, in seconds since 1970; 0 if it is not known."""
    return _own_start_time(os.getpid())


def is_running(pid: int, started: float) -> bool:
    """Return whether the process with an id that started at a time is running on this machine.

    Parameters
    ----------
    pid : int
        The process id.
    started : float
        What `this_start_time` returned in that process.

    Examples
    --------
    >>> is_running(os.getpid(), this_start_time()), is_running(os.getpid(), 0)
    (True, False)
    """
    if pid == os.getpid():  # in a container that restarts, each process may have the same id
        return started == this_start_time()
    found = _start_time(pid)
    return found is not None and abs(found - started) < _TOLERANCE


@functools.cache  # by process id, because a fork is another process
def _own_start_time(pid: int) -> int:
    return round(_start_time(pid) or 0)


def _start_time(pid: int) -> float | None:
    """Return when a process started, in seconds since 1970; ``None`` if it is not running."""
    try:
        import psutil
    except ImportError:  # Pyodide, which has no other processes
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:  # it does not exist, or belongs to another user
        return None
