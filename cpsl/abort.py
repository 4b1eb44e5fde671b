"""Ending an exchange from another thread, whatever it is waiting for.

Closing a response hangs while another thread reads from it, and before the headers have arrived
there is no response to close; shutting its socket down wakes the reader in both cases. So
connections tell the exchange that runs on their thread which socket they use.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["Abort", "AbortableAdapter"]

_running = threading.local()


class Abort:
    """A switch that ends one exchange, once and for good; safe to use from any thread."""

    def __init__(self) -> None:
        self.requested = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the connection that this thread uses within the block."""
        _running.abort = self
        try:
            yield
        finally:
            _running.abort = None

    def attach(self, sock: socket.socket) -> None:
        """Take the socket that the exchange runs on; shut it down at once if it is too late."""
        with self._lock:
            self._socket = sock
            if self.requested:
                self._shut_down()

    def release(self) -> None:
        """Let go of the socket, which is somebody else's from here on."""
        with self._lock:
            self._socket = None

    def request(self) -> None:
        """End the exchange."""
        with self._lock:
            self.requested = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed already
                # The plain socket's method: ssl's own would pull the session from under a reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _attach(connection: HTTPConnection) -> None:
    abort: Abort | None = getattr(_running, "abort", None)
    if abort is not None and isinstance(connection.sock, socket.socket):
        abort.attach(connection.sock)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _attach(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _attach(self)
        super().request(*args, **kwargs)


class _TLSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _attach(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _attach(self)
        super().request(*args, **kwargs)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class AbortableAdapter(HTTPAdapter):
    """An adapter of ``requests`` whose connections can be ended with `Abort`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pool of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
