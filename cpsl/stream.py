"""A reply while it streams."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self

import msgspec
import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from cpsl.cancellation import Abort
from cpsl.config import Settings
from cpsl.errors import (
    CapsuleError,
    GatewayError,
    ProtocolError,
    StreamInterrupted,
    StreamTimedOut,
    TooLargeError,
)
from cpsl.models import StreamChunk
from cpsl.network import broken, framed
from cpsl.options import Options
from cpsl.responses import about, content_type, request_id, service_message
from cpsl.retry import without_frames
from cpsl.sanitize import brief, join_surrogates
from cpsl.sse import Event, EventDecoder

__all__ = ["Stream"]

_decode = msgspec.json.Decoder().decode  # json.loads() takes ten times as long for a short text
_MEANT = frozenset({"done", "error"})  # the events whose names say something
_AT_ONCE = 1 << 16  # bytes asked for; read1() returns as soon as there are any
_BODY_END = 0.01  # seconds that the end of a body may follow the last event


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
    unraised
        The error that was not raised because the stream had been closed, if there was one.
    """

    def __init__(
        self,
        open_response: Callable[[Abort], requests.Response],
        settings: Settings,
        options: Options,
        silence: float,
    ) -> None:
        self.session_id = ""
        self.request_id = ""
        self.complete = False
        self.unraised: CapsuleError | None = None
        self._open = open_response
        self._settings = settings
        self._silence = silence  # seconds
        self._decoder = EventDecoder(options.max_event_bytes)
        self._reply_limit = options.max_reply_bytes
        self._pieces: list[str] = []
        self._size = 0  # characters of the reply
        self._events: Iterator[Event] = iter(())
        self._response: requests.Response | None = None
        self._error: CapsuleError | None = None
        self._ended = False
        self._abort = Abort()
        self._busy = threading.Lock()

    @property
    def text(self) -> str:
        """The reply so far."""
        return join_surrogates("".join(self._pieces), lone="surrogatepass")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        """Wait for the next chunk.

        Raises
        ------
        StreamInterrupted
            The connection broke before the reply's end, or was silent for too long.
        GatewayError
            The service reported an error within the stream.
        TooLargeError
            An event or the reply is larger than the client takes.
        CapsuleError
            The message could not be sent, as `cpsl.CapsuleError` describes.
        """
        with self._busy:
            try:
                if not self._ended and not self._abort.requested:
                    event = next(self._events, None) or self._next_event()
                    if event is not None:
                        return self._take(event)
                self._ended = True
            except CapsuleError as error:
                self._ended = True
                self._about(error)
                if not self._abort.requested:  # else it may only say that it was shut down
                    raise
                self.unraised = without_frames(error)
            except BaseException:
                self._ended = True
                raise
            finally:
                if self._ended:
                    self._release()
            reported, self._error = self._error, None
        if reported is not None:
            raise reported
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
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
        """Read until an event is whole; ``None`` at the end of the body, and once it was closed."""
        if self._response is None:
            self._response = self._connect()
        while (event := next(self._events, None)) is None:
            data = self._read(self._response.raw.read1)
            if not data:
                self._end(self._response)
                return None
            self._events = self._decoder.feed(data)
        return None if self._abort.requested else event

    def _connect(self) -> requests.Response:
        response = self._open(self._abort)
        self.request_id = request_id(response, self._settings)
        if _is_event_stream(response):
            return response
        raise self._refused(response)  # away from the body, which may repeat the token

    def _read(self, read: Callable[..., bytes]) -> bytes:
        failure: BaseException
        try:
            return read(_AT_ONCE, decode_content=True)
        except (ReadTimeoutError, TimeoutError):
            what = f"The service was silent for {self._silence:g} s within its reply"
            failure = self._interrupted(what, StreamTimedOut)
        except (HTTPError, OSError):
            failure = self._interrupted("The connection broke before the reply's end")
        except BaseException as caught:  # an interrupt, for one
            failure = without_frames(caught)
        raise failure  # here, outside the except blocks: the library's frames hold the token

    def _end(self, response: requests.Response) -> None:
        """Judge a body that ended before a chunk that is done."""
        if self._abort.requested:
            return
        if response.raw.length_remaining:
            raise self._interrupted("The connection broke before the reply's end")
        if not framed(response):  # it is not known whether this was all
            raise self._interrupted("The connection was closed before the reply was done")
        warnings.warn(
            "The stream ended without a chunk that is done: the reply may be incomplete.",
            stacklevel=4,
        )

    def _interrupted(
        self, what: str, kind: type[StreamInterrupted] = StreamInterrupted
    ) -> StreamInterrupted:
        error = kind(
            f"{what}; {len(self.text):,} characters had arrived. Ask again to get all of it."
        )
        error.text = self.text
        return error

    def _about(self, error: CapsuleError) -> None:
        """Give an error the ids of the answer that it is about."""
        error.request_id = error.request_id or self.request_id or None
        if self._response is not None:
            about(error, self._response, self._settings)

    def _take(self, event: Event) -> StreamChunk:
        data = _data(event.data)
        chunk = StreamChunk(event.type, data)
        text = chunk.text
        self._size += len(text)
        if self._size > self._reply_limit:
            raise TooLargeError(
                f"The reply is larger than {self._reply_limit:,} characters: ask for less at once, "
                "or raise max_reply_bytes."
            )
        self._pieces.append(text)
        if len(data) > 1 or not text or event.type in _MEANT:
            self._heed(chunk)
        return chunk

    def _heed(self, chunk: StreamChunk) -> None:
        """Take what a chunk tells besides its text: ids, an error, the reply's end."""
        self.session_id = str(chunk.data.get("session_id") or self.session_id)
        self.request_id = str(chunk.data.get("request_id") or self.request_id)
        if chunk.event == "error":
            said = service_message({"detail": chunk.text, **chunk.data}, self._settings)
            said = said or brief(self._settings.without_token(_string(chunk.data, "raw")))
            self._error = GatewayError(
                f"The app reported an error: {said or 'it gave no message'}. Ask again, or look at "
                "the app's logs.",
                detail=said or None,
            )
            self._about(self._error)
            self._ended = True
        elif chunk.done:
            self.complete = self._ended = True

    def _release(self) -> None:
        response, self._response = self._response, None  # it would keep the pool alive
        if response is not None:
            if self.complete and not self._abort.requested:
                self._read_on(response)
            response.close()
        self._abort.release()
        self._events = iter(())

    def _read_on(self, response: requests.Response) -> None:
        """Read the end of the body if it is there, for the connection to be used again."""
        if response.raw.chunked or response.raw.length_remaining:
            self._abort.hurry(_BODY_END)
            with contextlib.suppress(CapsuleError):
                self._read(response.raw.read1)

    def _refused(self, response: requests.Response) -> CapsuleError:
        """Return the error that an answer stands for which is no event stream."""
        try:
            body = self._read(response.raw.read)
        except StreamInterrupted:
            body = b""
        finally:
            response.close()
        answer = _data(body.decode("utf-8", "replace"))
        said = service_message(answer, self._settings)
        if not body and not framed(response):  # as where it broke off within the headers
            error: CapsuleError = broken(self._settings.http_url)
        elif said:
            error = GatewayError(
                f"The service answered with an error instead of a reply: {said}. Try again in a "
                "while.",
                detail=said,
            )
        else:
            kind = content_type(response, self._settings)
            error = ProtocolError(f"The answer is no event stream ({kind}): check gateway_url.")
        about(error, response, self._settings, answer)
        return error


def _is_event_stream(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "")
    return kind.split(";")[0].strip().lower() == "text/event-stream"


def _data(text: str) -> dict[str, Any]:
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        value = _value(text)
    return value if isinstance(value, dict) else {"raw": text}


def _value(text: str) -> Any:
    """Read what the fast decoder refuses: NaN, a lone surrogate, a number beyond all bounds."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _string(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
