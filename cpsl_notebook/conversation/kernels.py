"""Identifying kernels across restarts, to detect whether another kernel is using a conversation."""

from __future__ import annotations

import functools
import os
import socket

__all__ = ["is_running_elsewhere", "this_kernel"]

_START_TOLERANCE = 60  # seconds by which two readings of a process's start time may differ


def this_kernel() -> str:
    """Return the identity of this process: its id, its host, and when it started."""
    return _identity(os.getpid())


def is_running_elsewhere(kernel: str) -> bool:
    """Return whether an identity belongs to another process that is running on this machine."""
    process, _, start = kernel.rpartition(" ")
    pid, _, host = process.partition("@")
    if kernel == this_kernel() or host != socket.gethostname():
        return False
    if not (pid.isdecimal() and start.isdecimal() and len(pid) < 10):  # a damaged row
        return False
    started = _start_time(int(pid))
    # A different start time means that the process id was reused.
    return started is not None and abs(started - float(start)) < _START_TOLERANCE


@functools.cache  # by process id, because a fork is another kernel
def _identity(pid: int) -> str:
    return f"{pid}@{socket.gethostname()} {_start_time(pid) or 0:.0f}"


def _start_time(pid: int) -> float | None:
    """Return when a process started, in seconds since 1970; ``None`` if it is not known."""
    try:
        import psutil
    except ImportError:  # Pyodide, where there are no other processes
        return None
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:  # it does not exist, or belongs to another user
        return None
