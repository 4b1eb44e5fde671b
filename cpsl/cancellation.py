"""Ending an exchange from another thread, whatever it is waiting for.

Closing a response hangs while another thread reads from it, and before the headers have arrived
there is no response to close; shutting its socket down wakes the reader in both cases, and one that
still connects. So connections tell the exchange that runs on their thread which socket they use.
They also tell it when the request goes out, after which nobody can know whether the service acts on
it.
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

__all__ = ["Abort", "AbortableAdapter"]

_running = threading.local()


class Abort:
    """A switch that ends one exchange, once and for good; safe to use from any thread.

    Attributes
    ----------
    sent
        Whether any of the request may have reached the service.
    requested
        Whether the exchange is to end, or has.
    """

    def __init__(self) -> None:
        self.sent = False
        self.requested = False
        self._pid = os.getpid()
        self._woken = threading.Event()
        self._socket: socket.socket | None = None
        self._lock = threading.RLock()  # a signal handler may come between on the same thread

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the connection that this thread uses within the block."""
        self.sent = False
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

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this for what the socket has yet to bring."""
        with self._lock, contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.settimeout(seconds)

    def release(self) -> None:
        """Let go of the socket, which is somebody else's from here on."""
        with self._lock:
            self._socket = None

    def request(self) -> None:
        """End the exchange."""
        with self._lock:
            self.requested = True
            self._woken.set()
            self._shut_down()

    def wait(self, seconds: float) -> bool:
        """Sleep, unless the exchange is to end: then return true at once."""
        return self._woken.wait(seconds)

    def _shut_down(self) -> None:
        # A forked process has the same connection: shutting it down would end the parent's reply.
        if self._socket is not None and self._pid == os.getpid():
            with contextlib.suppress(OSError):  # it is closed already
                # The plain socket's method: ssl's own would pull the session from under a reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _attach(sock: Any) -> None:
    abort: Abort | None = getattr(_running, "abort", None)
    if abort is not None and isinstance(sock, socket.socket):
        abort.attach(sock)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Connect as urllib3 does, with the same errors, but so that it can be ended meanwhile."""
        try:
            *others, last = socket.getaddrinfo(
                self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM
            )
            for place in others:
                with contextlib.suppress(OSError):
                    return self._connected(*place)
            return self._connected(*last)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, str(error)) from error
        except (OSError, UnicodeError) as error:  # the latter of what can be no name
            raise NewConnectionError(self, str(error)) from error

    def _connected(self, family: int, kind: int, proto: int, _: str, address: Any) -> socket.socket:
        sock = socket.socket(family, kind, proto)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(address)
            _attach(sock)  # not earlier: what has not begun to connect cannot be shut down
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
        abort: Abort | None = getattr(_running, "abort", None)
        if abort is not None:
            abort.sent = True
        super().request(*args, **kwargs)


class _TLSConnection(_Connection, HTTPSConnection):
    _handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._handle = sock.dup()  # the handshake is done by another object, out of our reach
        _attach(self._handle)
        return sock

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            if self._handle is not None:
                self._handle.close()
                self._handle = None


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

    def close(self) -> None:
        """Close the idle connections now, not when the last response is forgotten."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be iterated itself
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()
