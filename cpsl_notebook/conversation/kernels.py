"""Identifying kernels across restarts, to detect whether another kernel is using a conversation."""

from __future__ import annotations

import os
import socket

from cpsl_notebook.processes import is_running, this_start_time

__all__ = ["is_running_elsewhere", "this_kernel"]


def this_kernel() -> str:
    """Return the identity of this process: its id, its host, and when it started."""
    return f"{os.getpid()}@{socket.gethostname()} {this_start_time()}"


def is_running_elsewhere(kernel: str) -> bool:
    """Return whether an identity belongs to another process that is running on this machine."""
    process, _, start = kernel.rpartition(" ")
    pid, _, host = process.partition("@")
    if kernel == this_kernel() or host != socket.gethostname():
        return False
    if not (pid.isdecimal() and start.isdecimal() and len(pid) < 10):  # a damaged row
        return False
    return is_running(int(pid), int(start))
