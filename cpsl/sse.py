"""Decode server-sent events, without I/O.

Implements sections 9.2.5 (parsing) and 9.2.6 (interpreting an event stream) of the WHATWG HTML
standard.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import msgspec

from cpsl.errors import TooLargeError

__all__ = ["DEFAULT_LIMIT", "Event", "EventDecoder"]

DEFAULT_LIMIT = 16 * 1024 * 1024


class Event(msgspec.Struct, gc=False):  # a dataclass takes three times as long to create
    """One event.

    Attributes
    ----------
    type : str
        The event's type; ``"message"`` by default.
    data : str
        The data; several lines are joined by line feeds.
    id : str
        The last event id of the stream so far.
    """

    type: str
    data: str
    id: str = ""


class EventDecoder:
    r"""An incremental decoder of one event stream.

    Parameters
    ----------
    limit : int
        The largest event, in characters and line ends.

    Attributes
    ----------
    retry : int or None
        The reconnection time that the stream requested, in milliseconds.

    Examples
    --------
    >>> decoder = EventDecoder()
    >>> list(decoder.feed(b"event: done\ndata: {}\n"))
    []
    >>> list(decoder.feed(b"\n"))
    [Event(type='done', data='{}', id='')]
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.retry: int | None = None
        self._limit = limit
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._at_start = True
        self._after_cr = False
        self._partial: list[str] = []  # pieces of the unfinished line
        self._partial_size = 0  # characters
        self._data_size = 0  # characters of the data of the unfinished event
        self._type = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Decode the next bytes of the stream.

        Consume all events of one call before the next call.

        Parameters
        ----------
        data : bytes
            Any number of bytes, split at any position.

        Yields
        ------
        Event
            The events that these bytes complete.

        Raises
        ------
        TooLargeError
            An event is larger than the limit.
        """
        text = self._next_text(data)
        if self._partial and "\n" in text:
            text = "".join((*self._partial, text))
            self._partial, self._partial_size = [], 0
        *blocks, rest = text.split("\n\n")
        started = bool(self._data or self._type)
        for block in blocks:
            above, _, line = block.rpartition("\n")
            if (
                line.startswith("data: ")
                and (not above or (above.startswith("event: ") and "\n" not in above))
                and not started
                and len(block) <= self._limit
            ):  # the common case: one line of data, and perhaps a type above it
                yield Event(above[7:] or "message", line[6:], self._id)
            else:
                yield from self._lines([*block.split("\n"), ""])
                started = False
        *lines, unfinished = rest.split("\n")
        yield from self._lines(lines)
        self._partial.append(unfinished)
        self._partial_size += len(unfinished)
        if self._data_size + self._partial_size > self._limit:
            raise self._too_large()

    def _lines(self, lines: list[str]) -> Iterator[Event]:
        """Process complete lines."""
        for line in lines:
            if self._data_size + len(line) > self._limit:
                raise self._too_large()
            if not line:
                event = self._dispatch()
                if event is not None:
                    yield event
            else:
                self._field(*line.partition(":")[::2])

    def _next_text(self, data: bytes) -> str:
        """Decode, drop one leading BOM, and convert CR and CRLF to LF."""
        text = self._decode(data)
        if text and self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if not text:
            return ""
        if self._after_cr:  # the CR has already ended the line
            text = text.removeprefix("\n")
            self._after_cr = False
        if "\r" in text:
            self._after_cr = text.endswith("\r")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text

    def _field(self, name: str, value: str) -> None:
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
                # The line end counts too, so that empty lines are limited.
                self._data_size += len(value) + 1
            case "event":
                self._type = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) < 20:
                self.retry = int(value)
            case _:  # a comment (with an empty name), or an unknown field
                pass

    def _dispatch(self) -> Event | None:
        data, kind = self._data, self._type
        self._data, self._type, self._data_size = [], "", 0
        return Event(kind or "message", "\n".join(data), self._id) if data else None

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"A stream event is larger than {self._limit:,} characters: "
            "ask for a shorter reply, or raise max_event_bytes."
        )
