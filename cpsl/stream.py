"""A reply while it streams."""

from __future__ import annotations

import json
import threading
import warnings
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import requests
from urllib3.exceptions import HTTPError

from cpsl.abort import Abort
from cpsl.errors import CapsuleError, GatewayError, ProtocolError, StreamInterruptedError
from cpsl.models import StreamChunk
from cpsl.sse import Event, EventDecoder
from cpsl.status import service_message
from cpsl.transport import request_id

__all__ = ["Stream"]

_AT_ONCE = 1 << 16  # bytes asked for; read1() returns as soon as there are any


class Stream:
    """An iterator of `StreamChunk` that can be closed: ``with client.stream(…) as stream:``.

    The message is sent when the first chunk is asked for. Iteration ends after the first chunk that
    is done; leaving the loop early and dropping the stream releases the connection.

    Attributes
    ----------
    text
        The reply so far.
    session_id, request_id
        The ids that the service gave; empty until it did.
    complete
        Whether the reply's end has arrived.
    """

    def __init__(self, open_response: Callable[[Abort], requests.Response], limit: int) -> None:
        self.session_id = ""
        self.request_id = ""
        self.complete = False
        self._open = open_response
        self._decoder = EventDecoder(limit)
        self._pieces: list[str] = []
        self._events: deque[Event] = deque()
        self._response: requests.Response | None = None
        self._error: CapsuleError | None = None
        self._ended = False
        self._abort = Abort()
        self._busy = threading.Lock()

    @property
    def text(self) -> str:
        """The reply so far."""
        return "".join(self._pieces)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        """Wait for the next chunk.

        Raises
        ------
        StreamInterruptedError
            The connection broke before the reply's end.
        GatewayError
            The service reported an error within the stream.
        """
        with self._busy:
            try:
                if not self._ended and not self._abort.requested:
                    event = self._next_event()
                    if event is not None and not self._abort.requested:
                        return self._take(event)
                self._ended = True
            except CapsuleError:
                self._ended = True
                if not self._abort.requested:  # else it only says that the connection was shut down
                    raise
            except BaseException:
                self._ended = True
                raise
            finally:
                if self._ended:
                    self._release()
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the stream at once, from any thread; what has arrived stays."""
        self._abort.request()
        # A thread that is waiting for the next chunk wakes up and releases the connection itself.
        if self._busy.acquire(blocking=False):
            try:
                self._ended = True
                self._release()
            finally:
                self._busy.release()

    def _next_event(self) -> Event | None:
        """Read until an event is whole; ``None`` at the end of the body."""
        if self._response is None:
            self._response = self._connect()
        while not self._events:
            data = self._read(self._response)
            if not data:
                self._end(self._response)
                return None
            self._events.extend(self._decoder.feed(data))
        return self._events.popleft()

    def _connect(self) -> requests.Response:
        response = self._open(self._abort)
        self.request_id = request_id(response)
        kind = response.headers.get("Content-Type", "")
        if kind.split(";")[0].strip().lower() == "text/event-stream":
            return response
        try:
            body = response.raw.read(_AT_ONCE, decode_content=True)
        except (HTTPError, OSError):
            body = b""
        response.close()
        raise _not_a_stream(body, kind or "no content type")

    def _read(self, response: requests.Response) -> bytes:
        broken = interrupted = False
        try:
            data: bytes = response.raw.read1(_AT_ONCE, decode_content=True)
            return data
        except (HTTPError, OSError):
            broken = not self._abort.requested
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:
            raise KeyboardInterrupt  # afresh: the library's frames hold the token
        if broken:
            raise self._interrupted("The connection broke before the reply's end")
        return b""

    def _end(self, response: requests.Response) -> None:
        """Judge a body that ended before a chunk that is done."""
        if self._abort.requested:
            return
        if response.raw.length_remaining:
            raise self._interrupted("The connection broke before the reply's end")
        framed = response.raw.chunked or "Content-Length" in response.headers
        if not framed:  # it is not known whether this was all
            raise self._interrupted("The connection was closed before the reply was done")
        warnings.warn(
            "The stream ended without a chunk that is done: the reply may be incomplete.",
            stacklevel=4,
        )

    def _interrupted(self, what: str) -> StreamInterruptedError:
        error = StreamInterruptedError(
            f"{what}; {len(self.text):,} characters had arrived. Ask again to get all of it.",
            request_id=self.request_id or None,
        )
        error.text = self.text
        return error

    def _take(self, event: Event) -> StreamChunk:
        chunk = StreamChunk(event.type, _data(event.data))
        self._pieces.append(chunk.text)
        self.session_id = _string(chunk.data, "session_id") or self.session_id
        self.request_id = _string(chunk.data, "request_id") or self.request_id
        if event.type == "error":
            said = service_message(chunk.data) or chunk.text or "no message"
            self._error = GatewayError(f"The app reported an error: {said}", detail=said)
            self._ended = True
        elif chunk.done:
            self.complete = self._ended = True
        return chunk

    def _release(self) -> None:
        self._abort.release()
        self._events.clear()
        if self._response is not None:
            self._response.close()


def _data(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"raw": text}


def _string(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _not_a_stream(body: bytes, kind: str) -> CapsuleError:
    try:
        said = service_message(json.loads(body))
    except ValueError:
        said = ""
    if said:
        return GatewayError(
            f"The service answered with an error instead of a reply: {said}", detail=said
        )
    return ProtocolError(f"The answer is no event stream ({kind}): check gateway_url.")
