"""A streamed reply."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self

import msgspec
import requests
from urllib3.exceptions import DecodeError, HTTPError

from cpsl.call import Call
from cpsl.config import Settings
from cpsl.connections import finish
from cpsl.errors import (
    CapsuleError,
    GatewayError,
    ProtocolError,
    StreamInterrupted,
    StreamTimedOut,
    TooLargeError,
)
from cpsl.models import StreamChunk
from cpsl.network_errors import TIMEOUTS, call_timed_out, connection_broken, safe_cause
from cpsl.responses import (
    add_ids,
    check_encoding,
    content_type,
    has_known_end,
    is_chunked,
    no_content,
    request_id,
    service_message,
)
from cpsl.sanitize import brief, join_surrogates
from cpsl.sse import Event, EventDecoder
from cpsl.tracebacks import without_frames
from cpsl.transport import Transport

__all__ = ["Stream"]

_decode = msgspec.json.Decoder().decode  # ten times as fast as json.loads() for a short text
_NAMED_EVENTS = frozenset({"done", "error"})  # event names with a special meaning
_READ_SIZE = 1 << 16  # bytes; read1() returns as soon as any have arrived
_BODY_END_TIMEOUT = 0.01  # seconds to wait in total for the end of the body after the last event


class Stream:
    """An iterator of `StreamChunk` that can be closed: ``with client.stream(…) as stream:``.

    The message is sent when the first chunk is requested. Iteration ends after the first chunk
    whose ``done`` is true. Leaving the loop early and dropping the stream releases the connection.

    Attributes
    ----------
    text : str
        The reply so far.
    session_id, request_id : str
        The ids from the service; empty until they arrive.
    complete : bool
        Whether the end of the reply has arrived.
    unraised : CapsuleError or None
        An error that was not raised because the stream had been closed.

    Examples
    --------
    ::

        with client.stream("support-ops", "Summarize the riskiest threads.") as stream:
            for chunk in stream:
                print(chunk.text, end="", flush=True)
        assert stream.complete
    """

    def __init__(
        self,
        open_response: Callable[[], requests.Response],
        transport: Transport,
        call: Call,
    ) -> None:
        self.session_id: str = ""
        self.request_id: str = ""
        self.complete: bool = False
        self.unraised: CapsuleError | None = None
        self._open_response = open_response
        self._transport = transport
        self._options = transport.options
        self._call = call
        self._decoder = EventDecoder(transport.options.max_event_bytes)
        self._pieces: list[str] = []
        self._size = 0  # characters of the reply
        self._events: Iterator[Event] = iter(())
        self._response: requests.Response | None = None
        self._connection: Any = None
        self._error: CapsuleError | None = None
        self._ended = False
        self._busy = threading.Lock()

    @property
    def _settings(self) -> Settings:
        return self._transport.settings

    @property
    def _closed(self) -> bool:
        return self._call.cancelled and not self._call.expired

    @property
    def _timed_out(self) -> bool:
        return self._call.expired and not self.complete

    @property
    def text(self) -> str:
        """The reply so far."""
        return join_surrogates("".join(self._pieces), lone="surrogatepass")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        """Wait for the next chunk.

        Returns
        -------
        StreamChunk
            The next event of the reply.

        Raises
        ------
        StreamInterrupted
            The connection broke, or nothing arrived for too long, before the end of the reply.
        GatewayError
            The service reported an error in the stream.
        TooLargeError
            An event or the reply exceeds the client's limit.
        CapsuleError
            The message could not be sent.
        """
        with self._busy:
            try:
                if not self._ended and not self._closed:
                    event = next(self._events, None) or self._next_event()
                    if event is not None:
                        return self._to_chunk(event)
                self._ended = True
            except CapsuleError as error:
                self._ended = True
                self._add_ids(error)
                if not self._closed:
                    raise
                self.unraised = without_frames(error)  # probably a result of the cancellation
            except BaseException:
                self._ended = True
                raise
            finally:
                if self._ended:
                    self._release()
            reported, self._error = self._error, None
        try:
            if reported is not None:
                raise reported
        finally:
            del reported  # a cycle with this frame would keep the connections open
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the stream immediately, from any thread; the text that has arrived is kept."""
        self._call.cancel()
        # A thread that waits for the next chunk wakes up and releases the connection itself.
        if self._busy.acquire(blocking=False):
            try:
                self._ended = True
                self._release()
            finally:
                self._busy.release()

    def _next_event(self) -> Event | None:
        """Read the next event; ``None`` at the end of the body or if the stream was closed."""
        if self._response is None:
            self._response = self._connect()
        while (event := next(self._events, None)) is None:
            data = self._read(self._response.raw.read1)
            if not data:
                self._check_end(self._response)
                return None
            self._events = self._decoder.feed(data)
        return None if self._closed else event

    def _connect(self) -> requests.Response:
        response = self._open_response()
        self._connection = getattr(response.raw, "connection", None)
        response.raw.decode_content = True  # read1() of recorded responses takes no argument for it
        self.request_id = request_id(response, self._settings)
        if response.status_code != 204 and _is_event_stream(response):
            check_encoding(response, self._settings)
            return response
        # Raised here: the frames of the method below hold the body, which may repeat the token.
        raise self._unexpected_response_error(response)

    def _read(self, read: Callable[..., bytes]) -> bytes:
        failure: BaseException
        try:
            data = read(_READ_SIZE)
            if data or not self._timed_out:
                return data
            failure = self._call_timed_out()
        except (HTTPError, OSError) as caught:
            failure = self._call_timed_out() if self._timed_out else self._read_error(caught)
        except BaseException as caught:  # for example an interrupt
            failure = without_frames(caught)
        try:
            raise failure  # outside the except blocks: the frames of the libraries hold the token
        finally:
            del failure  # a cycle with this frame would keep the connections open

    def _check_end(self, response: requests.Response) -> None:
        """Raise or warn if the body ended before the final chunk."""
        if self._closed:
            return
        if response.raw.length_remaining:
            raise self._interrupted("The connection broke before the end of the reply")
        # Truncated compressed data may not be detected.
        if not has_known_end(response) or "Content-Encoding" in response.headers:
            raise self._interrupted("The connection was closed before the end of the reply")
        warnings.warn(
            "The stream ended without a final chunk: the reply may be incomplete.", stacklevel=4
        )

    def _read_error(self, caught: Exception) -> StreamInterrupted:
        """Return the error for an exception of the network libraries."""
        if isinstance(caught, TIMEOUTS):
            seconds = f"{self._call.timeout.read:g} s"
            reason = f"The service sent nothing for {seconds} in the middle of its reply"
            error: StreamInterrupted = self._interrupted(reason, StreamTimedOut)
        elif isinstance(caught, DecodeError):
            error = self._interrupted("The compressed reply cannot be decoded")
        else:
            error = self._interrupted("The connection broke before the end of the reply")
        error.__cause__ = safe_cause(caught, self._settings)
        return error

    def _call_timed_out(self) -> StreamInterrupted:
        return self._interrupted(
            f"The reply took longer than {self._call.max_seconds:g} s", StreamTimedOut
        )

    def _interrupted(
        self, reason: str, kind: type[StreamInterrupted] = StreamInterrupted
    ) -> StreamInterrupted:
        text = self.text
        plural = "" if len(text) == 1 else "s"
        error = kind(
            f"{reason}; {len(text):,} character{plural} had arrived. Send the message again to get "
            "the whole reply."
        )
        error.text = text
        return error

    def _add_ids(self, error: CapsuleError) -> None:
        error.request_id = error.request_id or self.request_id or None
        if self._response is not None:
            add_ids(error, self._response, self._settings)

    def _to_chunk(self, event: Event) -> StreamChunk:
        data = _parse_data(event.data)
        chunk = StreamChunk(event.type, data)
        text = chunk.text
        self._size += len(text)
        if self._size > self._options.max_reply_bytes:
            raise TooLargeError(
                f"The reply is larger than {self._options.max_reply_bytes:,} characters: ask for "
                "a shorter reply, or raise max_reply_bytes."
            )
        self._pieces.append(text)
        if len(data) > 1 or not text or event.type in _NAMED_EVENTS:
            self._apply(chunk)
        return chunk

    def _apply(self, chunk: StreamChunk) -> None:
        """Process the ids, the error and the end of the reply in a chunk."""
        self.session_id = str(chunk.data.get("session_id") or self.session_id)
        self.request_id = str(chunk.data.get("request_id") or self.request_id)
        if chunk.event == "error":
            detail = service_message({"detail": chunk.text, **chunk.data}, self._settings)
            raw = chunk.data.get("raw")
            if not detail and isinstance(raw, str):
                detail = brief(self._settings.redact(raw))
            self._error = GatewayError(
                f"The app reported an error: {detail or 'no message was given'}. Check the app's code "
                "and logs, or ask again.",
                detail=detail or None,
            )
            self._add_ids(self._error)
            self._ended = True
        elif chunk.done:
            self.complete = self._ended = True

    def _release(self) -> None:
        response, self._response = self._response, None  # it would keep the pool alive
        connection, self._connection = self._connection, None
        if response is not None:
            complete = self.complete and not self._call.cancelled
            if complete:
                self._read_body_end(response)
                complete = response.raw.closed  # nothing was left to read
            response.close()
            finish(connection, response, complete=complete)
        self._call.finish()
        self._events = iter(())

    def _read_body_end(self, response: requests.Response) -> None:
        """Read the end of the body if it has arrived, so that the connection can be reused."""
        if is_chunked(response) or response.raw.length_remaining:
            self._call.limit(_BODY_END_TIMEOUT)
            with contextlib.suppress(CapsuleError):
                self._read(response.raw.read1)

    def _unexpected_response_error(self, response: requests.Response) -> CapsuleError:
        """Return the error for a response that is not an event stream."""
        try:
            body = self._read(response.raw.read)
        except StreamInterrupted:
            body = b""
        finally:
            response.close()
        data = _parse_data(body.decode("utf-8", "replace"))
        detail = service_message(data, self._settings)
        if self._call.expired:
            error: CapsuleError = call_timed_out(self._settings.http_url, self._call)
        elif response.status_code == 204:
            error = no_content(self._settings.http_url)
        elif not body and not has_known_end(response):  # the connection broke within the headers
            error = connection_broken(self._settings.http_url)
        elif detail:
            error = GatewayError(
                f"The service returned an error: {detail}. Try again later.", detail=detail
            )
        else:
            kind = content_type(response, self._settings)
            error = ProtocolError(
                f"The response is not an event stream ({kind}): check the gateway's address."
            )
        add_ids(error, response, self._settings, data)
        return error


def _is_event_stream(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "")
    return kind.split(";")[0].strip().lower() == "text/event-stream"


def _parse_data(text: str) -> dict[str, Any]:
    """Return the JSON object of an event; other data becomes ``{"raw": TEXT}``."""
    value: Any = None
    try:
        value = _decode(text)
    # Errors of msgspec are a ValueError only from 0.21 on.
    except (ValueError, msgspec.MsgspecError, RecursionError):
        # msgspec also refuses NaN, lone surrogates and numbers that exceed a double.
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text)
    return value if isinstance(value, dict) else {"raw": text}
