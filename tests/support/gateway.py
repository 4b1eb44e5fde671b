"""Gateways on loopback that answer as a test says, faults included, and record their requests.

>>> with Gateway() as gateway:
...     gateway.on("chat", rate_limited(after=0), dropped())
...     client = cpsl.Client(token=TOKEN, gateway_url=gateway.url)
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import select
import signal
import socket
import ssl
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import trustme

from cpsl.messages import SERVICE, message

APP = "00000000-0000-4000-8000-000000000001"
TOKEN = "tok-SECRET-0123456789"
TEST_TIMEOUT = 30  # seconds after which a test fails because something is stuck
HOLD = (
    threading.Event()
)  # never set: an answer that waits for it waits until the client disconnects
_CALLS = {
    r"/api/v1/apps/[^/]+": "get_app",
    r"/api/v1/apps/[^/]+/payments": "list_payments",
    r"/api/v1/apps/[^/]+/earnings": "get_earnings",
    r"/api/v1/checkout/[^/]+": "create_checkout",
    r"/api/v1/app/[^/]+/chat": "chat",
    r"/api/v1/app/[^/]+/stream": "stream",
}

Part = bytes | threading.Event  # something to send, or to wait for


@dataclass(frozen=True)
class Answer:
    """The parts to send for one request, and how the connection ends afterwards."""

    parts: Iterable[Part]
    closes: bool = False
    resets: bool = False


@dataclass(frozen=True)
class Request:
    call: str
    path: str
    text: str
    session_id: str
    headers: dict[str, str]
    number: int  # of this call, from 1
    connection: int  # from 1


# Answers.


def answer(*body: Part, status: int = 200, framing: str = "length", **headers: str) -> Answer:
    """Return an answer; ``framing`` is length, chunked or close; ``_`` in header names means ``-``."""
    named = {"Content_Type": "application/json", **headers}
    if framing == "length":
        named.setdefault("Content_Length", str(sum(len(p) for p in body if isinstance(p, bytes))))
    elif framing == "chunked":
        named["Transfer_Encoding"] = "chunked"
        body = (*(_chunk(part) for part in body), b"0\r\n\r\n")
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return Answer((("\r\n".join(lines) + "\r\n\r\n").encode(), *body), closes=framing == "close")


def _chunk(part: Part) -> Part:
    return b"%x\r\n%b\r\n" % (len(part), part) if isinstance(part, bytes) else part


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return answer(json.dumps(value).encode(), status=status, **headers)


def failed(status: int, message: str = "it is broken", **headers: str) -> Answer:
    return as_json({"error": message}, status, X_Request_Id="r-1", **headers)


def rate_limited(after: float | str | None = None) -> Answer:
    return failed(429, "slow down", **({} if after is None else {"Retry_After": str(after)}))


def event(data: dict[str, Any], name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + f"data: {json.dumps(data)}\n\n".encode()


def words(*texts: str) -> list[bytes]:
    return [event({"text": text}) for text in texts]


DONE = event({"session_id": "s-1", "request_id": "r-1"}, "done")


def streamed(*parts: Part, framing: str = "chunked", **headers: str) -> Answer:
    return answer(*parts, framing=framing, **{"Content_Type": "text/event-stream", **headers})


def gzipped(*parts: bytes) -> Answer:
    return streamed(gzip.compress(b"".join(parts)), Content_Encoding="gzip")


def byte_by_byte(given: Answer) -> Answer:
    """Send an answer byte by byte."""
    return Answer(tuple(bytes([byte]) for byte in _bytes(given)), given.closes)


def interim(given: Answer, *statuses: int) -> Answer:
    """Send interim responses before an answer."""
    before = [b"HTTP/1.1 %d Wait\r\nLink: </a.css>; rel=preload\r\n\r\n" % s for s in statuses]
    return replace(given, parts=(*before, *given.parts))


def followed(given: Answer, stray: bytes, *later: Part) -> Answer:
    """Send stray bytes in the same write as an answer, and further parts later."""
    return replace(given, parts=(_bytes(given) + stray, *later))


def cut(given: Answer, after: int, *, resets: bool = False) -> Answer:
    """Send the first bytes of an answer, as in a slice, then close or reset the connection."""
    return Answer((_bytes(given)[:after],), closes=True, resets=resets)


def dripping(start: bytes, drop: bytes = b"x", interval: float = 0.05) -> Answer:
    """Send a start, then one drop after the other until the client disconnects."""

    def parts() -> Iterator[Part]:
        yield start
        while True:
            time.sleep(interval)
            yield drop

    return Answer(parts())


def dropped(*, resets: bool = False) -> Answer:
    return Answer((), closes=True, resets=resets)


def stalled(given: Answer | None = None, after: int = 0) -> Answer:
    """Send the first bytes of an answer, then nothing, with the connection open."""
    return Answer((_bytes(given)[:after] if given else b"", HOLD), closes=True)


def _bytes(given: Answer) -> bytes:
    return b"".join(part for part in given.parts if isinstance(part, bytes))


def normal_answer(request: Request) -> Answer:
    """Return the answer of a gateway without faults."""
    match request.call:
        case "chat":
            reply = {"replies": [{"text": f"You said {request.text}"}]}
            ids = {"session_id": request.session_id or "s-1", "request_id": "r-1"}
            return as_json(reply | ids)
        case "stream":
            return streamed(*words("You said ", request.text), DONE)
        case "get_app":
            return as_json({"app": {"id": APP, "name": "support-ops", "price_in_cents": 1500}})
        case "list_payments":
            return as_json([{"id": "p-1", "gross_cents": 1500}])
        case "create_checkout":
            return as_json({"checkout_url": "https://pay.example/1"})
        case _:
            return as_json({"gross_cents": 1500})


# The servers.


class _Server:
    """Accepts connections and handles each in its own thread."""

    def __init__(self, ca: trustme.CA | None = None) -> None:
        self.accepted = 0
        self.open: set[socket.socket] = set()
        self.changed = threading.Condition()
        self._closing = False
        self._context: ssl.SSLContext | None = None
        if ca is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ca.issue_cert("127.0.0.1", "localhost", "gateway.example").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if ca else ''}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(TEST_TIMEOUT)  # no connection comes after this
        for sock in list(self.open):
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TEST_TIMEOUT)
            assert not thread.is_alive(), "a connection is still open"

    def wait_for(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition on what this server has received is true."""
        with self.changed:
            assert self.changed.wait_for(condition, TEST_TIMEOUT), "the condition never became true"

    def wait_until_disconnected(self) -> None:
        """Wait until no client is connected."""
        self.wait_for(lambda: not self.open)

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self.changed:
                self.accepted += 1
                self.open.add(sock)
            self._threads[1:] = [t for t in self._threads[1:] if t.is_alive()]
            number = self.accepted
            self._threads.append(threading.Thread(target=self._run, args=(sock, number)))
            self._threads[-1].daemon = True
            self._threads[-1].start()

    def _run(self, sock: socket.socket, number: int) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                plain = sock
                sock = self._context.wrap_socket(
                    plain, server_side=True, do_handshake_on_connect=False
                )
                with self.changed:
                    self.open.symmetric_difference_update({plain, sock})
                try:
                    sock.do_handshake()
                except ssl.SSLError:
                    self._end_after_client(sock)
                    return
            self.handle(sock, number)
        except (OSError, ValueError):
            pass  # the client disconnected, or did not trust the certificate
        finally:
            sock.close()
            with self.changed:
                self.open.discard(sock)
                self.changed.notify_all()

    def _end_after_client(self, sock: socket.socket) -> None:
        """Close after the client, so that it reads the TLS alert before the end."""
        socket.socket.shutdown(sock, socket.SHUT_WR)
        sock.settimeout(TEST_TIMEOUT)
        while socket.socket.recv(sock, 1 << 16):
            pass

    def handle(self, sock: socket.socket, number: int) -> None:
        raise NotImplementedError


class Gateway(_Server):
    """The HTTP gateway: ``on(call, answer, …)`` queues an answer for each of the next requests."""

    def __init__(self, ca: trustme.CA | None = None) -> None:
        self.requests: list[Request] = []
        self.otherwise: Callable[[Request], Answer] = normal_answer
        self._queued: dict[str, deque[Answer]] = {}
        super().__init__(ca)

    def on(self, call: str, *answers: Answer) -> None:
        self._queued.setdefault(call, deque()).extend(answers)

    def count(self, call: str) -> int:
        return sum(request.call == call for request in self.requests)

    @property
    def messages(self) -> Counter[str]:
        """How often each message was received."""
        return Counter(r.text for r in self.requests if r.call in ("chat", "stream"))

    def handle(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb") as incoming:
            while line := incoming.readline():
                request = self._request(line.decode(), incoming, number)
                with self.changed:
                    self.requests.append(request)
                    queued = self._queued.get(request.call)
                    given = queued.popleft() if queued else self.otherwise(request)
                    self.changed.notify_all()
                for part in given.parts:
                    if isinstance(part, bytes):
                        sock.sendall(part)
                    else:
                        self._wait(part, sock)
                if given.resets:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if given.closes:
                    return

    def _request(self, line: str, incoming: Any, connection: int) -> Request:
        headers = dict(http.client.parse_headers(incoming))
        body = json.loads(incoming.read(int(headers.get("Content-Length", 0))) or b"{}")
        url = urlsplit(line.split(" ")[1])
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        call = next((c for rule, c in _CALLS.items() if re.fullmatch(rule, url.path)), url.path)
        values = {**query, **body}
        text, session = values.get("text", ""), values.get("session_id", "")
        return Request(call, url.path, text, session, headers, self.count(call) + 1, connection)

    def _wait(self, until: threading.Event, sock: socket.socket) -> None:
        while not until.wait(0.005):
            if self._closing or select.select([sock], [], [], 0)[0]:
                raise ConnectionError("the client disconnected")


class Proxy(_Server):
    """A proxy that tunnels to one port, or refuses if there is none, and records its requests."""

    def __init__(self, port: int = 0, status: int = 502) -> None:
        self._status = status
        self.asked: list[str] = []
        self._upstream = port
        super().__init__()

    def handle(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb", buffering=0) as incoming:
            self.asked.append(incoming.readline().decode())
            head = self.asked[-1] + str(http.client.parse_headers(incoming))
        assert TOKEN not in head, "the proxy received the token"
        if not head.startswith("CONNECT") or not self._upstream:
            reason = http.client.responses[self._status]
            sock.sendall(f"HTTP/1.1 {self._status} {reason}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        with socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for other, data in _exchange(sock, upstream):
                other.sendall(data)


def _exchange(
    sock: socket.socket, upstream: socket.socket
) -> Iterator[tuple[socket.socket, bytes]]:
    """Yield what two sockets send, and to which one, until one of them ends."""
    others = {sock: upstream, upstream: sock}
    while True:
        for end in select.select(list(others), [], [], TEST_TIMEOUT)[0]:
            if not (data := end.recv(1 << 16)):
                return
            yield others[end], data


class Relay(_Server):
    """A TCP relay to one port that can forget its connections silently, as a NAT does."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._forgotten = 0  # the number of the last connection that it has forgotten
        super().__init__()

    def forget(self) -> None:
        """Drop what arrives on the connections made so far, without closing them."""
        self._forgotten = self.accepted

    def handle(self, sock: socket.socket, number: int) -> None:
        with socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
            for other, data in _exchange(sock, upstream):
                if number > self._forgotten:
                    other.sendall(data)


class SocksProxy(_Server):
    """A SOCKS 5 proxy to one port, whatever host it is asked for, and records the hosts."""

    def __init__(self, port: int) -> None:
        self.hosts: list[bytes] = []
        self._upstream = port
        super().__init__()

    def handle(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb", buffering=0) as incoming:
            incoming.read(incoming.read(2)[1])
            sock.sendall(b"\x05\x00")
            self.hosts.append(incoming.read(incoming.read(5)[4] + 2)[:-2])
        sock.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        with socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
            for other, data in _exchange(sock, upstream):
                other.sendall(data)


GrpcAnswer = grpc.StatusCode | dict[str, Any] | threading.Event


@dataclass
class GrpcGateway:
    """The gRPC gateway: ``answers`` are those of `ListApps`; after them it answers without faults."""

    answers: list[GrpcAnswer] = field(default_factory=list)
    retry_after: str = ""
    details: str = "it is broken"
    tokens: list[str] = field(default_factory=list)
    target: str = ""

    @property
    def count(self) -> int:
        return len(self.tokens)

    def list_apps(self, _: Any, context: grpc.ServicerContext) -> Any:
        self.tokens.append(dict(context.invocation_metadata()).get("authorization", ""))
        given: GrpcAnswer = self.answers.pop(0) if self.answers else {}
        if isinstance(given, threading.Event):
            while context.is_active() and not given.wait(0.01):
                pass
        elif isinstance(given, grpc.StatusCode):
            if self.retry_after:
                context.set_trailing_metadata((("retry-after", self.retry_after),))
            context.abort(given, self.details)
        else:
            apps = [message("App")(id=APP, name="support-ops", hostname="support-ops-1")]
            return message("ListAppsResponse")(**({"ok": True, "apps": apps} | given))
        return message("ListAppsResponse")()

    @contextmanager
    def serving(self, ca: trustme.CA | None = None, **cert: Any) -> Iterator[GrpcGateway]:
        listing = grpc.unary_unary_rpc_method_handler(
            self.list_apps,
            request_deserializer=message("ListAppsRequest").FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )
        handler = grpc.method_handlers_generic_handler(SERVICE, {"ListApps": listing})
        with ThreadPoolExecutor(4) as pool:
            server = grpc.server(pool, [handler], options=[("grpc.so_reuseport", 0)])
            self.target = f"127.0.0.1:{self._add_port(server, ca, **cert)}"
            server.start()
            try:
                yield self
            finally:
                server.stop(0).wait()

    def _add_port(self, server: grpc.Server, ca: trustme.CA | None, **cert: Any) -> int:
        if ca is None:
            return server.add_insecure_port("127.0.0.1:0")
        names = cert.pop("names", ("127.0.0.1", "gateway.example"))
        made = ca.issue_cert(*names, **cert)
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        pair: Iterable[tuple[bytes, bytes]] = [(made.private_key_pem.bytes(), chain)]
        return server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))


@contextmanager
def interrupted_when(wait: Callable[[], Any], kind: type[BaseException]) -> Iterator[None]:
    """Raise an exception in the main thread from a signal handler once ``wait()`` has returned."""

    def handle(number: int, frame: Any) -> None:
        if not done.is_set():
            done.set()
            raise kind

    def interrupt() -> None:
        wait()
        while not done.is_set():  # a signal just before a thread blocks does not wake it
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            done.wait(0.05)

    done = threading.Event()
    previous = signal.signal(signal.SIGINT, handle)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(TEST_TIMEOUT)
        signal.signal(signal.SIGINT, previous)
