"""Return types of the client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ChatResponse", "StreamChunk"]


@dataclass(frozen=True)
class ChatResponse:
    """The whole reply to one message.

    Attributes
    ----------
    text : str
        The text of the reply; several replies are joined by a blank line.
    session_id : str
        The id to pass to the next call to continue the session.
    request_id : str
        The service's id of the request; empty if there is none.
    raw : dict
        The decoded JSON of the response.

    Examples
    --------
    >>> ChatResponse("4 threads.", session_id="s1", request_id="r1", raw={}).text
    '4 threads.'
    """

    text: str
    session_id: str
    request_id: str = ""
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)  # not frozen, which takes three times as long to create
class StreamChunk:
    """One event of a streamed reply.

    Attributes
    ----------
    event : str
        The event's name; ``"message"`` if the service sent none.
    data : dict
        The event's JSON object; other data becomes ``{"raw": TEXT}``.

    Examples
    --------
    >>> chunk = StreamChunk("message", {"text": "4 threads"})
    >>> chunk.text, chunk.done
    ('4 threads', False)
    """

    event: str
    data: dict[str, Any]

    @property
    def text(self) -> str:
        """The part of the reply in this event; empty if it has none."""
        text = self.data.get("text")
        return text if isinstance(text, str) else ""

    @property
    def done(self) -> bool:
        """Whether this event ends the reply."""
        return self.event == "done" or self.data.get("done") is True
