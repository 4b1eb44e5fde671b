"""The conversation that an app of the local workspace receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Session", "Turn"]


@dataclass(frozen=True)
class Turn:
    """An earlier message of a conversation, and the app's reply.

    Attributes
    ----------
    prompt : str
        The message.
    reply : str
        The text of the reply; empty if it had only blocks.
    """

    prompt: str
    reply: str


@dataclass
class Session:
    """A conversation.

    Attributes
    ----------
    id : str
        The session id.
    history : collections.abc.Sequence of Turn
        The earlier turns, oldest first. Turns are read from disk when they are used, so
        ``len(session.history)`` and ``session.history[-5:]`` are fast even in a long
        conversation.
    data : dict
        JSON values that are kept for the next turn.
    """

    id: str
    history: Sequence[Turn] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


Answer = Callable[[Session, str], Iterable[str | dict[str, Any]]]
"""An app: a function ``(session, text)`` that returns or yields pieces of text and blocks."""
