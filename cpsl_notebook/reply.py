"""A reply: what an app sent, collected chunk by chunk."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["Reply"]


@dataclass
class Reply:
    """What came back for one prompt.

    Attributes
    ----------
    app, prompt
        Who was asked what.
    text
        The reply's text, Markdown as the app sent it.
    blocks
        The structured messages ``{"id", "type", "payload"}`` among it; one that has the id of an
        earlier one has replaced it.
    session_id, request_id
        The service's ids; empty where it gave none.
    conversation, turn
        The conversation's name in this notebook and the reply's place in it, from 1.
    status
        ``"running"``, ``"complete"``, ``"incomplete"``, ``"stopped"`` or ``"failed"``.
    notices
        What the user should know besides, a line each.
    sent_at
        When the prompt was sent, in UTC.
    first_chunk_s, total_s
        Seconds until the first piece and until the end; ``None`` where there was none.
    cell_id, execution_count
        The cell that asked; empty and ``None`` where it was no cell.
    error
        What ended the reply, where that was not its own end.

    Examples
    --------
    >>> reply = Reply(app="support-ops", prompt="How many?")
    >>> reply.take("message", {"text": "4 threads"})
    >>> str(reply)
    '4 threads'
    """

    app: str
    prompt: str
    text: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    session_id: str = ""
    request_id: str = ""
    conversation: str = ""
    turn: int = 0
    status: str = "running"
    notices: list[str] = field(default_factory=list)
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    first_chunk_s: float | None = None
    total_s: float | None = None
    cell_id: str = ""
    execution_count: int | None = None
    error: Exception | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from cpsl_notebook.render import html, plain

        return {"text/html": html(self), "text/plain": plain(self)}

    def take(self, event: str, data: dict[str, Any]) -> None:
        """Add one event of the stream."""
        text = data.get("text")
        if isinstance(text, str):
            self.text += text
        for key in ("session_id", "request_id"):
            if isinstance(data.get(key), str) and data[key]:
                setattr(self, key, data[key])
        block = _block(data)
        if block is not None:
            self._put(block)

    def take_whole(self, response: Any) -> None:
        """Take the answer of a chat that was not streamed."""
        self.text = response.text
        self.session_id = response.session_id or ""
        self.request_id = response.request_id or ""
        replies = response.raw.get("replies") if isinstance(response.raw, dict) else None
        replies = [reply for reply in replies or [] if isinstance(reply, dict)]
        texts = [reply["text"] for reply in replies if isinstance(reply.get("text"), str)]
        # The official client's text is the first of several replies only.
        self.text = "\n\n".join(filter(None, texts)) or self.text
        for reply in replies:
            block = _block(reply)
            if block is not None:
                self._put(block)

    @property
    def notification(self) -> str:
        """The latest transient status that the app sent; empty once text has followed it."""
        last = self.blocks[-1] if self.blocks else {}
        payload = last.get("payload")
        if last.get("type") != "notification" or not isinstance(payload, dict) or self.text:
            return ""
        return str(payload.get("text", ""))

    def _put(self, block: dict[str, Any]) -> None:
        for position, earlier in enumerate(self.blocks):
            if block.get("id") is not None and earlier.get("id") == block["id"]:
                self.blocks[position] = block
                return
        self.blocks.append(block)


def _block(data: dict[str, Any]) -> dict[str, Any] | None:
    """Find a block in an event's data: the data itself, under ``block``, or as JSON."""
    candidates = [data, data.get("block")]
    if isinstance(data.get("block_json"), str):
        with contextlib.suppress(ValueError):
            candidates.append(json.loads(data["block_json"]))
    for candidate in candidates:
        if isinstance(candidate, dict) and {"type", "payload"} <= candidate.keys():
            return candidate
    return None
