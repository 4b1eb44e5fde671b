"""Cancel a request from another thread, whatever it is waiting for.

Closing a response hangs while another thread reads from it, and before the headers have arrived there
is no response to close. Shutting the socket down wakes the waiting thread in both cases, and also
while it connects. Connections therefore report their socket to the `Cancellation` of the request
that runs on their thread. They also report when the request is sent: from then on, the service may
have acted on it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

__all__ = ["CancellableAdapter", "Cancellation"]

_current = threading.local()  # the cancellation of the request that runs on this thread


class Cancellation:
    """Cancels one request; safe to use from any thread.

    Attributes
    ----------
    sent : bool
        Whether any of the request may have reached the service.
    requested : bool
        Whether `cancel` was called.
    """

    def __init__(self) -> None:
        self.sent = False
        self.requested = False
        self._pid = os.getpid()
        self._cancelled = threading.Event()
        self._socket: socket.socket | None = None
        self._lock = threading.RLock()  # a signal handler may run on the same thread

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Watch the connections that this thread uses within the block."""
        self.sent = False
        _current.cancellation = self
        try:
            yield
        finally:
            _current.cancellation = None

    def attach(self, sock: socket.socket) -> None:
        """Set the socket of the request; shut it down if the request is cancelled already."""
        with self._lock:
            self._socket = sock
            if self.requested:
                self._shut_down()

    def set_read_timeout(self, seconds: float) -> None:
        """Change how long the socket waits for the next byte."""
        with self._lock, contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.settimeout(seconds)

    def detach(self) -> None:
        """Forget the socket: another request may use it now."""
        with self._lock:
            self._socket = None

    def cancel(self) -> None:
        """Cancel the request."""
        with self._lock:
            self.requested = True
            self._cancelled.set()
            self._shut_down()

    def wait(self, seconds: float) -> bool:
        """Sleep until the time is over or the request is cancelled; return whether it is."""
        return self._cancelled.wait(seconds)

    def _shut_down(self) -> None:
        # A forked process shares the connection: shutting it down would end the parent's reply.
        if self._socket is not None and self._pid == os.getpid():
            with contextlib.suppress(OSError):  # it is closed already
                # Not SSLSocket.shutdown, which drops the TLS state that a reader is using.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _cancellation() -> Cancellation | None:
    return getattr(_current, "cancellation", None)


def _attach(sock: Any) -> None:
    cancellation = _cancellation()
    if cancellation is not None and isinstance(sock, socket.socket):
        cancellation.attach(sock)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Connect as urllib3 does, with the same errors, but so that it can be cancelled.

        Private in urllib3, which creates the socket inside it and has no hook for it.
        """
        try:
            *others, last = socket.getaddrinfo(
                self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM
            )
            for address in others:
                with contextlib.suppress(OSError):
                    return self._connect_to(*address)
            return self._connect_to(*last)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, str(error)) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
            raise NewConnectionError(self, str(error)) from error

    def _connect_to(self, family: int, kind: int, proto: int, _: str, addr: Any) -> socket.socket:
        sock = socket.socket(family, kind, proto)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(addr)
            _attach(sock)  # a socket can be shut down only once it has begun to connect
            with selectors.DefaultSelector() as selector:
                selector.register(sock, selectors.EVENT_WRITE)
                if not selector.select(self.timeout):
                    raise TimeoutError("timed out")
            if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error))
            sock.settimeout(self.timeout)
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        _attach(self.sock)
        cancellation = _cancellation()
        if cancellation is not None:
            cancellation.sent = True
        super().request(*args, **kwargs)


class _TLSConnection(_Connection, HTTPSConnection):
    _duplicate: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # urllib3 hands the socket to an SSLSocket for the handshake; a duplicate can end that.
        self._duplicate = sock.dup()
        _attach(self._duplicate)
        return sock

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            if self._duplicate is not None:
                self._duplicate.close()
                self._duplicate = None


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class CancellableAdapter(HTTPAdapter):
    """A transport adapter of requests whose connections a `Cancellation` can end."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pool of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Create the pool of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close idle connections now, not when the last response is garbage-collected."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - urllib3's container has no iterator
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()
