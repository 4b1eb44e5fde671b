"""What the client's methods return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ChatResponse", "StreamChunk"]


@dataclass(frozen=True)
class ChatResponse:
    """The whole answer to one message.

    Attributes
    ----------
    text
        The reply; several replies are joined by a blank line.
    session_id
        Pass it to the next call to continue the conversation.
    request_id
        The service's id of this request; empty where it gave none.
    raw
        The answer as it came.

    Examples
    --------
    >>> ChatResponse("4 threads.", session_id="s1", request_id="r1", raw={}).text
    '4 threads.'
    """

    text: str
    session_id: str
    request_id: str = ""
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)  # not frozen: that takes three times as long to make
class StreamChunk:
    """One event of a streamed reply.

    Attributes
    ----------
    event
        The event's name; ``"message"`` where the service gave none.
    data
        The event's JSON object; for data that is no JSON object, ``{"raw": TEXT}``.

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
        """The piece of the reply that this event carries; empty where it carries none."""
        text = self.data.get("text")
        return text if isinstance(text, str) else ""

    @property
    def done(self) -> bool:
        """Whether this event ends the reply."""
        return self.event == "done" or self.data.get("done") is True
