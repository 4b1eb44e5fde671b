"""HTTP connections that can be cancelled at any moment, and are reused only if that is safe.

Bytes that a server sends after a response would be read as the response to the next request on the
connection. A connection is therefore reused only if its last response was complete and valid
(`finish`), and only if nothing has arrived on it since.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import math
import os
import queue
import selectors
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from cpsl.call import current_call

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection, HTTPSConnection
else:
    # Tools such as vcrpy replace the classes of urllib3 by classes derived from them. If that has
    # happened before this import, the original classes are among their bases.
    HTTPConnection, HTTPSConnection = (
        next(base for base in replaced.__mro__ if base.__module__ == "urllib3.connection")
        for replaced in (urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection)
    )

__all__ = ["CancellableAdapter", "finish"]

MAX_INTERIM_RESPONSES = 20  # 1xx responses before the final one
# Seconds for which a connection may be idle and still be reused. A NAT or load balancer may have
# dropped it silently, and a message on it would wait for the whole read timeout.
MAX_IDLE = 30.0


def _socket_options() -> list[tuple[int, int, int]]:
    """Return socket options: probe an idle connection, and detect within 1 min that it is dead."""
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    # The second name is the one on macOS.
    names = (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    found = [(getattr(socket, name, None), value) for name, value in names]
    return options + [(socket.IPPROTO_TCP, name, v) for name, v in found if name is not None]


class _Response(http.client.HTTPResponse):
    """A response that skips interim responses, and detects bytes after its end.

    It overrides two private methods, because `http.client` has no hooks for this. The tests of
    interim responses and stray bytes fail if `http.client` stops calling them.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock
        self._pid = os.getpid()

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line of the final response (RFC 9110, section 15.2).

        `http.client` itself skips only ``100 Continue``.
        """
        for _ in range(MAX_INTERIM_RESPONSES + 1):
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 100 <= line[1] < 200:
                return line
            if line[1] == http.client.SWITCHING_PROTOCOLS:
                raise http.client.BadStatusLine("101 without a request for another protocol")
            http.client.parse_headers(self.fp)
        raise http.client.BadStatusLine(f"more than {MAX_INTERIM_RESPONSES} interim responses")

    def _close_conn(self) -> None:
        # A forked process must not read: it would consume bytes of its parent's response.
        if not self.will_close and os.getpid() == self._pid and self._has_more():
            _shut_down(self._sock)
        super()._close_conn()  # type: ignore[misc]

    def _has_more(self) -> bool:
        """Return whether anything has arrived that was not read."""
        try:
            timeout = self._sock.gettimeout()
            self._sock.settimeout(0)
            try:
                return bool(self.fp.peek(1))
            finally:
                self._sock.settimeout(timeout)
        except (OSError, ValueError):  # nothing has arrived, or the connection is closed
            return False


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        # Not SSLSocket.shutdown, which drops the TLS state that a reader is using.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _attach(sock: Any) -> None:
    call = current_call()
    if call is not None and isinstance(sock, socket.socket):
        call.attach(partial(_shut_down, sock))


class _Connection(HTTPConnection):
    response_class = _Response
    _idle_since = -math.inf  # since the last complete and valid response

    @property
    def is_connected(self) -> bool:
        """Whether the next request can use this connection; urllib3 asks before each."""
        return time.monotonic() - self._idle_since <= MAX_IDLE and super().is_connected

    def _new_conn(self) -> socket.socket:
        """Connect as urllib3 does, with the same errors, but allow cancellation.

        This method is private in urllib3, which has no public hook for creating the socket.
        """
        try:
            *others, last = _resolve(self._dns_host, self.port, self.timeout)
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
        self._idle_since = -math.inf
        if self.sock is None:
            self.connect()
        _attach(self.sock)
        call = current_call()
        if call is not None:
            call.sent = True
        super().request(*args, **kwargs)

    def mark_reusable(self) -> None:
        """Allow the next request to use this connection."""
        self._idle_since = time.monotonic()


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


def _resolve(host: str, port: int | None, timeout: Any) -> list[Any]:
    """Resolve a host in a separate thread, because nothing can interrupt ``getaddrinfo``."""

    def resolve() -> list[Any]:
        return socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)

    def report() -> None:
        try:
            answers.put(resolve())
        except Exception as error:
            answers.put(error)

    if _is_ip_address(host):  # needs no DNS lookup
        return resolve()
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()
    call = current_call()
    if call is not None:
        call.attach(partial(answers.put, OSError("cancelled")))
    threading.Thread(target=report, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        answer = TimeoutError("timed out")
    if isinstance(answer, Exception):
        raise answer
    return answer


def _is_ip_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


class _Pool(HTTPConnectionPool):
    _original: type[HTTPConnection] = HTTPConnection
    _derived: type[_Connection] = _Connection

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802 - urllib3's name
        """The class of new connections, or the one that a tool such as vcrpy has set."""
        cls = super().ConnectionCls
        return self._derived if cls is self._original else cls

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if call is not None:  # the connections of other tools do not report it
            call.sent = self.ConnectionCls is not self._derived
        return super().urlopen(*args, **kwargs)


class _TLSPool(_Pool, HTTPSConnectionPool):  # type: ignore[override]
    _original = HTTPSConnection
    _derived = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class CancellableAdapter(HTTPAdapter):
    """A transport adapter of requests whose connections a `Call` can end."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pool of direct connections."""
        super().init_poolmanager(*args, **kwargs, socket_options=_socket_options())
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Create the pool of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs, socket_options=_socket_options())
        if manager.proxy is not None and manager.proxy.scheme in _POOLS:  # not SOCKS
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close idle connections now, not when the last response is garbage-collected."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - urllib3's container has no iterator
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()


def finish(connection: Any, response: requests.Response, *, complete: bool) -> None:
    """Keep a connection for the next request, or close it.

    Parameters
    ----------
    connection : object
        The connection on which the response arrived; ``None`` if a tool such as vcrpy made
        the response.
    response : requests.Response
        The response.
    complete : bool
        Whether the response was read to its end and is valid.
    """
    # With two lengths, a proxy may disagree about where the response ends.
    ambiguous = {"Transfer-Encoding", "Content-Length"} <= set(map(str.title, response.headers))
    complete = complete and response.status_code == 200 and not ambiguous
    if complete and isinstance(connection, _Connection):
        connection.mark_reusable()
    elif connection is not None:
        connection.close()
