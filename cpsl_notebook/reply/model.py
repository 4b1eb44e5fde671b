"""A reply: what an app sent for one prompt, collected event by event."""

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

_REPR_LENGTH = 80  # characters of the text in a repr


@dataclass(repr=False)
class Reply:
    """The reply to one prompt. It can be pickled, copied and stored with ``%store``.

    Attributes
    ----------
    app, prompt : str
        The app, and the prompt as it was sent.
    template : str
        The prompt before its ``{{ }}`` placeholders were filled.
    form : str or None
        The format that the reply must have, ``"json"`` or ``"table"``; ``None`` for any.
    pieces : list of str
        The text in the pieces in which it arrived; see `text`.
    blocks : list of dict
        The blocks, with ``id``, ``type`` and ``payload``. A block replaces an earlier one with the
        same id.
    session_id, request_id : str
        The service's ids; empty if it sent none.
    conversation : str
        The name of the conversation in this notebook.
    turn : int
        The number of the turn in the conversation, from 1.
    turn_before : int or None
        The turn that the same cell was when it ran earlier in this conversation.
    status : str
        ``"running"``, ``"complete"``, ``"incomplete"``, ``"stopped"`` or ``"failed"``.
    notices : list of str
        Lines shown below the reply.
    lost_conversation : str
        The notice that the service did not continue the conversation. It is shown even where the
        reply is not.
    notification : str
        The app's latest status message; empty after the next text or block.
    remote_images : bool
        Whether images of other servers are shown.
    sent_at : datetime
        When the prompt was sent, in UTC.
    first_chunk_s, total_s : float or None
        Seconds until the first text or block, and until the end.
    recorded_at : datetime or None
        When the reply was recorded, in UTC; ``None`` for a live reply.
    cell_id : str
        The id of the cell that sent the prompt; empty if it is unknown.
    execution_count : int or None
        The execution count of that cell.
    error : Exception or None
        Why the reply stopped or failed, or why it does not have its format.
    shown : bool
        Whether the running cell has shown the reply, so that it is not shown twice.

    Examples
    --------
    >>> reply = Reply(app="support-ops", prompt="How many?")
    >>> reply.add_event({"text": "4 threads"})
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
    lost_conversation: str = ""
    notification: str = ""
    remote_images: bool = False
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    first_chunk_s: float | None = None
    total_s: float | None = None
    recorded_at: datetime | None = None
    cell_id: str = ""
    execution_count: int | None = None
    error: Exception | None = None
    shown: bool = False

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = " ".join(self.text.split())
        shortened = text if len(text) <= _REPR_LENGTH else f"{text[:_REPR_LENGTH]}…"
        return f"<Reply of {self.app}, {self.status}: {shortened!r}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from cpsl_notebook.reply.rendering import bundle

        return bundle(self)

    def _ipython_display_(self) -> None:
        """Show nothing if the running cell has already shown the reply."""
        shell: Any = get_ipython()
        shown, self.shown = self.shown, False
        if not (shown and shell is not None and shell.execution_count == self.execution_count):
            raise NotImplementedError  # makes IPython use `_repr_mimebundle_`

    @property
    def text(self) -> str:
        """The text, in Markdown as the app sent it."""
        return join_surrogates("".join(self.pieces))

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The tables as DataFrames: those in the text, then those in the blocks.

        In a table of the text, a column of numbers is ``Int64`` or ``Float64``; others are
        ``string``.
        """
        from cpsl_notebook.reply.tables import block_table, markdown_tables

        of_blocks = [table for table in map(block_table, self.blocks) if table is not None]
        return markdown_tables(self.text) + of_blocks

    @property
    def code(self) -> list[str]:
        """The contents of the fenced code blocks in the text."""
        from cpsl_notebook.reply.markdown import code_blocks

        return code_blocks(self.text)

    def json(self) -> Any:
        r"""Return the JSON value in the reply: its whole text, or its only fenced block of JSON.

        Returns
        -------
        dict, list, str, int, float, bool or None
            The value as `json.loads` returns it.

        Raises
        ------
        UserError
            The reply contains no JSON value or several.

        Examples
        --------
        >>> reply = Reply(app="support-ops", prompt="As JSON, please.")
        >>> reply.add_event({"text": '```json\n{"waiting": 4}\n```'})
        >>> reply.json()
        {'waiting': 4}
        """
        values = []
        for candidate in (self.text, *self.code):
            with contextlib.suppress(ValueError, RecursionError):
                values.append(json.loads(candidate, parse_constant=_refuse_constant))
        if len(values) == 1:
            return values[0]
        problem = f"contains {len(values)} JSON values" if values else "is not JSON"
        raise UserError(
            f"The reply {problem}. Ask for a single JSON value; see `text` for the whole reply."
        )

    def add_event(self, data: dict[str, Any]) -> None:
        """Add the data of one event of a stream.

        Parameters
        ----------
        data : dict
            The event's data: text, ids and blocks are taken from it, unknown fields are ignored.
        """
        text = data.get("text")
        if isinstance(text, str) and text:
            self.pieces.append(text)
            self.notification = ""
        for key in ("session_id", "request_id"):
            if isinstance(data.get(key), str | int) and data[key]:
                setattr(self, key, clean(str(data[key])))
        block = _find_block(data)
        if block is not None:
            self._add_block(block)

    def add_response(self, response: Any) -> None:
        """Add the response of a chat that was not streamed.

        Parameters
        ----------
        response : cpsl.ChatResponse
            What ``chat()`` returned; its text replaces the text so far.
        """
        self.session_id = clean(str(response.session_id or ""))
        self.request_id = clean(str(response.request_id or ""))
        replies = response.raw.get("replies") if isinstance(response.raw, dict) else None
        replies = [reply for reply in replies or [] if isinstance(reply, dict)]
        texts = [reply["text"] for reply in replies if isinstance(reply.get("text"), str)]
        # The official client's `text` is only the first of several replies.
        self.pieces = ["\n\n".join(filter(None, texts)) or response.text]
        for reply in replies:
            block = _find_block(reply)
            if block is not None:
                self._add_block(block)

    def _add_block(self, block: dict[str, Any]) -> None:
        text = block["payload"].get("text") if isinstance(block["payload"], dict) else None
        is_notification = block["type"] == "notification"
        self.notification = text if is_notification and isinstance(text, str) else ""
        for position, earlier in enumerate(self.blocks):
            if block.get("id") is not None and earlier.get("id") == block["id"]:
                self.blocks[position] = block
                return
        self.blocks.append(block)


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")  # Python accepts NaN and Infinity by default


def _find_block(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the block in an event's data: the data itself, its ``block``, or its ``block_json``."""
    candidates = [data, data.get("block")]
    if isinstance(data.get("block_json"), str):
        with contextlib.suppress(ValueError, RecursionError):
            candidates.append(json.loads(data["block_json"]))
    for candidate in candidates:
        if isinstance(candidate, dict) and {"type", "payload"} <= candidate.keys():
            return candidate
    return None
