"""The outcome of one request, as plain data that can be pickled and stored."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Self

__all__ = ["ANSWERED", "FAILED", "RATE_LIMITED", "REFUSED", "UNKNOWN", "Outcome"]

ANSWERED = "answered"
FAILED = "failed"  # the service returned an error; it may have acted on the request
UNKNOWN = "unknown"  # no complete answer; the service may have acted on the request
REFUSED = "refused"  # never sent, or refused before anything happened: safe to send again
RATE_LIMITED = "rate-limited"  # 429: safe to send again, later


@dataclass(slots=True)
class Outcome:
    """The outcome of one request.

    Attributes
    ----------
    kind : str
        One of the constants of this module.
    payload : dict
        The part of the answer that arrived: ``{"events": [[name, data], …]}`` of a stream, or
        ``{"whole": {…}}`` of a chat.
    error : str
        The error message; empty for an answer.
    session_id : str
        The session id that the service sent; empty if it sent none.
    first_text_s, total_s : float or None
        Seconds from sending until the first text, and until the end.
    retry_after : float or None
        Seconds to wait that the service requested; ``None`` if it did not request any.
    attempts : int
        The number of times that the row has been sent, in all runs.
    """

    kind: str = ANSWERED
    payload: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    session_id: str = ""
    first_text_s: float | None = None
    total_s: float | None = None
    retry_after: float | None = None
    attempts: int = 0

    def to_json(self) -> str:
        """Return the outcome as JSON, for the store."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the outcome that `to_json` wrote."""
        return cls(**json.loads(text))
