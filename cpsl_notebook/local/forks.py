"""Isolating forked children of a process, such as those of ``!command``, from its workspaces."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["close_sockets", "no_grpc_fork_handlers", "watch_forks"]

_FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"  # read at import and when gRPC is initialized
# The workspace imports gRPC after this module, and without fork handlers; see `no_grpc_fork_handlers`.
_MAY_HAVE_HANDLERS = "grpc" in sys.modules or _FORK_SUPPORT in os.environ
# From this version of gRPC on, no other module can enable them after the import.
_READ_AT_IMPORT_ONLY = (1, 71)
_lock = threading.RLock()  # two threads may fork at once
_stderr: list[int | None] = []  # copies of file descriptor 2, one per fork in progress


@contextlib.contextmanager
def no_grpc_fork_handlers() -> Iterator[None]:
    """Import and initialize gRPC in such a block, so that it does nothing in forks.

    What the user configured has priority. Without the block, gRPC starts a thread in each child,
    which aborts the child if that closes its file descriptors before it runs a command.
    ``!command`` does so in notebooks: 1 to 2 % did not run.
    """
    if _FORK_SUPPORT in os.environ:
        yield
        return
    os.environ[_FORK_SUPPORT] = "0"
    try:
        yield
    finally:
        del os.environ[_FORK_SUPPORT]


def watch_forks(serving: Callable[[], bool], in_child: Callable[[], None]) -> None:
    """Silence gRPC during forks and run a function in each child, from now on.

    If gRPC was imported before the workspace, its C library writes a line to file descriptor 2 in
    every fork while a server runs, because its own fork handlers are skipped. Its log level cannot be
    changed after ``import grpc``, so the descriptor points to the null device during the fork. If
    ``GRPC_VERBOSITY`` is set, the messages are not silenced, because the user wants them. If the
    workspace imported gRPC, gRPC writes nothing, and the descriptor does not change. What gRPC's thread
    in a child writes when the child closes that thread's descriptors is not silenced.

    Parameters
    ----------
    serving : callable
        Return whether this process runs a gRPC server.
    in_child : callable
        Called without arguments in each forked child.
    """

    def before() -> None:
        _lock.acquire()
        silent = serving() and "GRPC_VERBOSITY" not in os.environ and _may_have_handlers()
        _stderr.append(_silence() if silent else None)

    def after() -> None:
        original = _stderr.pop()
        if original is not None:
            if _is_null_device(2):  # pty.fork() has replaced it in the child
                os.dup2(original, 2)
            os.close(original)
        _lock.release()

    def after_in_child() -> None:
        after()
        in_child()

    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(before=before, after_in_parent=after, after_in_child=after_in_child)


def close_sockets(host: str, ports: set[int]) -> None:
    """Close the sockets of servers on these ports, their connections included.

    Afterwards the descriptors point to the null device: the servers' objects may close them later,
    when the same numbers could belong to other files.
    """
    null = os.open(os.devnull, os.O_RDWR)
    with contextlib.suppress(OSError):  # not every system has the folder
        for path in Path("/dev/fd").iterdir():
            if _is_bound(int(path.name), host, ports):
                os.dup2(null, int(path.name), inheritable=False)
    os.close(null)


def _is_bound(descriptor: int, host: str, ports: set[int]) -> bool:
    """Return whether a descriptor is a socket with one of these local addresses."""
    try:
        duplicate = os.dup(descriptor)
    except OSError:
        return False
    try:
        found = socket.socket(fileno=duplicate)
    except OSError:  # it is not a socket
        os.close(duplicate)
        return False
    with found:
        address = found.getsockname()
    # gRPC may bind an IPv4 address as an IPv6 one.
    is_inet = isinstance(address, tuple)
    return is_inet and address[0].removeprefix("::ffff:") == host and address[1] in ports


@functools.cache
def _may_have_handlers() -> bool:
    """Return whether gRPC, which has been imported, may have fork handlers."""
    version = sys.modules["grpc"].__version__.split(".")
    return _MAY_HAVE_HANDLERS or tuple(map(int, version[:2])) < _READ_AT_IMPORT_ONLY


def _silence() -> int | None:
    """Point file descriptor 2 to the null device; return a copy of it, if it is open."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no descriptor is free
        return None
    try:
        original = os.dup(2)
        os.dup2(null, 2)
    except OSError:
        return None
    finally:
        os.close(null)
    return original


def _is_null_device(descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), Path(os.devnull).stat())
    except OSError:
        return False
