"""A gateway on loopback for many short requests, with a rule for each and a log of what it received."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

APP = "00000000-0000-4000-8000-000000000001"
TOKEN = "tok-SECRET-0123456789"

# What a rule may return besides the text of a reply.
LIMITED = object()  # 429, with Retry-After if the gateway has one
BROKEN = object()  # half a reply, then the connection closes
REFUSED = object()  # 400
CRASHED = object()  # 500
HANGING = object()  # no answer until the gateway closes

Rule = Callable[[str, int], Any]


def echo(text: str, number: int) -> str:
    return f"You said {text}"


class FastGateway:
    """Answers on a thread of its own; ``rule(text, number)`` decides, with the number of the request.

    Attributes
    ----------
    received : Counter
        How often each text was received and not refused with 429.
    limited : Counter
        How often each text was refused with 429.
    sessions : list of tuple
        The session id and text of each request, as received.
    answered : Counter
        How often each text was answered in full.
    times : list of float
        When each request was received, in seconds.
    keeps_log : bool
        Whether to keep all of these.
    most_active : int
        The largest number of requests that were in progress at the same time.
    """

    def __init__(self, rule: Rule = echo, *, delay: float = 0.0, retry_after: str = "0") -> None:
        self.rule = rule
        self.delay = delay
        self.retry_after = retry_after
        self.received: Counter[str] = Counter()
        self.limited: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.sessions: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.keeps_log = True
        self.active = self.most_active = self._number = 0
        self._changed = threading.Condition()
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FastGateway:
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)

    @property
    def environ(self) -> dict[str, str]:
        return {"CAPSULE_TOKEN": TOKEN, "CAPSULE_HTTP_URL": self.url}

    def wait_for(self, true: Callable[[], Any]) -> None:
        """Wait until a condition on what was received is true."""
        with self._changed:
            assert self._changed.wait_for(true, 60), "the condition was not met in time"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())

    async def _run(self) -> None:
        self._end = asyncio.Event()
        server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=1024
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._end.wait()
        server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    def take(self, connection: _Connection, session: str, text: str, streams: bool) -> None:
        self._number += 1
        verdict = self.rule(text, self._number)
        with self._changed:
            if self.keeps_log:
                (self.limited if verdict is LIMITED else self.received)[text] += 1
                self.sessions.append((session, text))
                self.times.append(self._loop.time())
            self.active += 1
            self.most_active = max(self.most_active, self.active)
            self._changed.notify_all()
        number = self._number
        if verdict is HANGING:
            return
        if verdict is LIMITED or not self.delay:
            self._answer(connection, session, text, streams, verdict, number)
        else:
            self._loop.call_later(
                self.delay, self._answer, connection, session, text, streams, verdict, number
            )

    def _answer(
        self, connection: _Connection, session: str, text: str, streams: bool, verdict: Any, n: int
    ) -> None:
        with self._changed:
            self.active -= 1
        session = session or f"s-{n}"
        if verdict in (LIMITED, REFUSED, CRASHED):
            status = {LIMITED: "429 Slow", REFUSED: "400 Bad", CRASHED: "500 Bad"}[verdict]
            extra = f"Retry-After: {self.retry_after}\r\n" if verdict is LIMITED else ""
            extra = extra if self.retry_after else ""
            connection.send(status, extra, "application/json", b'{"error": "no"}')
        elif verdict is BROKEN:
            connection.send("200 OK", "", "text/event-stream", _event({"text": "Half"}), cut=True)
        elif streams:
            body = _event({"text": verdict}) + b"event: done\n"
            body += _event({"session_id": session, "request_id": f"r-{n}"})
            self.answered[text] += self.keeps_log
            connection.send("200 OK", "", "text/event-stream", body)
        else:
            whole = {"replies": [{"text": verdict}], "session_id": session, "request_id": f"r-{n}"}
            self.answered[text] += self.keeps_log
            connection.send("200 OK", "", "application/json", json.dumps(whole).encode())


class _Connection(asyncio.Protocol):
    def __init__(self, gateway: FastGateway) -> None:
        self._gateway = gateway
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        if len(body) < int(headers.get("content-length", 0)):
            return
        self._data = b""
        url = urlsplit(lines[0].split(" ")[1])
        assert headers["authorization"] == f"bearer {TOKEN.lower()}"
        values = {name: found[0] for name, found in parse_qs(url.query).items()}
        values |= json.loads(body or b"{}")
        streams = url.path.endswith("/stream")
        self._gateway.take(self, values.get("session_id", ""), values["text"], streams)

    def send(self, status: str, extra: str, kind: str, body: bytes, *, cut: bool = False) -> None:
        if self._transport.is_closing():
            return
        size = len(body) + 10 * cut
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {size}\r\n\r\n"
        self._transport.write(head.encode() + body)
        if cut:
            self._transport.close()


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"
