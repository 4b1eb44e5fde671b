"""A reply: what an app sent, collected chunk by chunk."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from cpsl_notebook.errors import UserError
from cpsl_notebook.sanitize import clean, join_surrogates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Reply"]

_SHOWN = 80  # characters of the text in a repr


@dataclass(repr=False)
class Reply:
    """What came back for one prompt.

    Attributes
    ----------
    app, prompt
        Who was asked what.
    template
        The prompt before it was filled.
    form
        What the answer was meant to be: ``"json"``, ``"table"``, or ``None`` for anything.
    pieces
        The reply's text as it arrived; `text` is the whole.
    blocks
        The structured messages ``{"id", "type", "payload"}`` among it; one that has the id of an
        earlier one has replaced it.
    session_id, request_id
        The service's ids; empty where it gave none.
    conversation, turn
        The conversation's name in this notebook and the reply's place in it, from 1.
    turn_before
        Which turn of the conversation the same cell was when it ran before, if it did.
    status
        ``"running"``, ``"complete"``, ``"incomplete"``, ``"stopped"`` or ``"failed"``.
    notices
        What the user should know besides, a line each.
    lost
        The notice that the conversation did not go on, or cannot; it is never left out.
    notification
        The app's latest word on what it does; empty once something else has followed it.
    remote_images
        Whether pictures that must be fetched are shown.
    sent_at
        When the prompt was sent, in UTC.
    first_chunk_s, total_s
        Seconds until the first piece and until the end; ``None`` where there was none.
    cell_id, execution_count
        The cell that asked; empty and ``None`` where it was no cell.
    error
        What ended the reply, where that was not its own end.
    shown
        Whether the cell that asked has it below it, though its last line may be the reply again.

    Examples
    --------
    >>> reply = Reply(app="support-ops", prompt="How many?")
    >>> reply.take("message", {"text": "4 threads"})
    >>> str(reply)
    '4 threads'
    """

    app: str
    prompt: str
    template: str = ""
    form: str | None = None
    pieces: list[str] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    session_id: str = ""
    request_id: str = ""
    conversation: str = ""
    turn: int = 0
    turn_before: int | None = None
    status: str = "running"
    notices: list[str] = field(default_factory=list)
    lost: str = ""
    notification: str = ""
    remote_images: bool = False
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    first_chunk_s: float | None = None
    total_s: float | None = None
    cell_id: str = ""
    execution_count: int | None = None
    error: Exception | None = None
    shown: bool = False

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        said = " ".join(self.text.split())
        shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
        return f"<Reply of {self.app}, {self.status}: {shown!r}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from cpsl_notebook.reply.rendering import html, plain

        return {"text/html": html(self), "text/plain": plain(self)}

    def _ipython_display_(self) -> None:
        """Show nothing, once, where the cell has just shown the reply; else as ever."""
        shell: Any = get_ipython()
        shown, self.shown = self.shown, False
        if not (shown and shell is not None and shell.execution_count == self.execution_count):
            raise NotImplementedError  # IPython's word for "some other way"

    @property
    def text(self) -> str:
        """The reply's text, Markdown as the app sent it."""
        return join_surrogates("".join(self.pieces))

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The tables among the reply: those of the text, then those of the blocks.

        A column of a table in the text is of numbers where all its cells are; else of strings.
        """
        from cpsl_notebook.reply.blocks import block_table, text_table, typed_column
        from cpsl_notebook.reply.markdown import tables

        of_blocks = [block_table(block) for block in self.blocks]
        return [text_table(rows) for rows in tables(self.text)] + [
            frame.apply(typed_column) for frame in of_blocks if frame is not None
        ]

    @property
    def code(self) -> list[str]:
        """The contents of the fenced code blocks of the text."""
        from cpsl_notebook.reply.markdown import code

        return code(self.text)

    def json(self) -> Any:
        r"""Read the reply as JSON: the whole text, or the only fenced block that holds any.

        Returns
        -------
        object
            What `json.loads` makes of it.

        Raises
        ------
        UserError
            It is no JSON, or several blocks are.

        Examples
        --------
        >>> reply = Reply(app="support-ops", prompt="As JSON, please.")
        >>> reply.take("message", {"text": '```json\n{"waiting": 4}\n```'})
        >>> reply.json()
        {'waiting': 4}
        """
        found = []
        for candidate in (self.text, *self.code):
            with contextlib.suppress(ValueError, RecursionError):
                found.append(json.loads(candidate, parse_constant=_refused))
        if len(found) == 1:
            return found[0]
        what = f"holds {len(found)} pieces of JSON" if found else "is no JSON"
        raise UserError(f"The reply {what}: ask for one JSON value alone; `text` has it all.")

    def take(self, event: str, data: dict[str, Any]) -> None:
        """Add one event of the stream."""
        text = data.get("text")
        if isinstance(text, str) and text:
            self.pieces.append(text)
            self.notification = ""
        for key in ("session_id", "request_id"):
            if isinstance(data.get(key), str | int) and data[key]:
                setattr(self, key, clean(str(data[key])))
        block = _block(data)
        if block is not None:
            self._put(block)

    def take_whole(self, response: Any) -> None:
        """Take the answer of a chat that was not streamed."""
        self.session_id = clean(str(response.session_id or ""))
        self.request_id = clean(str(response.request_id or ""))
        replies = response.raw.get("replies") if isinstance(response.raw, dict) else None
        replies = [reply for reply in replies or [] if isinstance(reply, dict)]
        texts = [reply["text"] for reply in replies if isinstance(reply.get("text"), str)]
        # The official client's text is the first of several replies only.
        self.pieces = ["\n\n".join(filter(None, texts)) or response.text]
        for reply in replies:
            block = _block(reply)
            if block is not None:
                self._put(block)

    def _put(self, block: dict[str, Any]) -> None:
        said = block["payload"].get("text") if isinstance(block["payload"], dict) else None
        notifies = block["type"] == "notification"
        self.notification = said if notifies and isinstance(said, str) else ""
        for position, earlier in enumerate(self.blocks):
            if block.get("id") is not None and earlier.get("id") == block["id"]:
                self.blocks[position] = block
                return
        self.blocks.append(block)


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")  # Python reads NaN and Infinity all the same


def _block(data: dict[str, Any]) -> dict[str, Any] | None:
    """Find a block in an event's data: the data itself, under ``block``, or as JSON."""
    candidates = [data, data.get("block")]
    if isinstance(data.get("block_json"), str):
        with contextlib.suppress(ValueError, RecursionError):
            candidates.append(json.loads(data["block_json"]))
    for candidate in candidates:
        if isinstance(candidate, dict) and {"type", "payload"} <= candidate.keys():
            return candidate
    return None
