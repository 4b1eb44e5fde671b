"""A reply: what an app sent for one prompt, collected event by event."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from cpsl_notebook.errors import UserError, check_type
from cpsl_notebook.reply.block_types import is_transient
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
    pieces : list of (str or dict)
        What arrived, in order: texts in the pieces in which they came, and blocks. When the reply
        has been shown, they are joined as in `parts`.
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
    math : bool
        Whether formulas are typeset.
    sent_at : datetime
        When the prompt was sent, in UTC.
    first_chunk_s, total_s : float or None
        Seconds until the first text, and until the end.
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

    Notes
    -----
    `parts`, `text`, `blocks` and `tables` are complete, but a cell shows only as much as it can show in
    about a second. The output says what it leaves out.

    =============  ===================================================================================
    text           100 kB in 10,000 lines are formatted, another 1 MB is shown as plain text
    paragraphs     one of more than 20,000 characters is not formatted
    code           up to 20,000 characters of a block, and as many as 0.3 seconds allow, have colours
    Markdown       20,000 cells are shown as tables; further rows stay text
    tables
    formulas       one of more than 5,000 characters is not typeset
    blocks         200, with 1 MB of text together; one block may use a quarter of the rest
    table blocks   100 rows and 50 columns; 1,000 characters of a cell
    suggestions    50 of a block, each with a prompt of up to 10,000 characters
    links, fields  50 of a block; 2,000 characters of a field
    images         20 MB of image blocks together
    =============  ===================================================================================

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
    pieces: list[str | dict[str, Any]] = field(default_factory=list)
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
    math: bool = False
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    first_chunk_s: float | None = None
    total_s: float | None = None
    recorded_at: datetime | None = None
    cell_id: str = ""
    execution_count: int | None = None
    error: Exception | None = None
    shown: bool = False
    _positions: dict[str | int, int] = field(default_factory=dict, init=False)  # of blocks, by id

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
    def parts(self) -> list[str | dict[str, Any]]:
        """The texts and blocks in the order in which the app sent them.

        Status messages, such as notifications, are only in `blocks`; they do not divide a text.

        Examples
        --------
        >>> reply = Reply(app="support-ops", prompt="How many?")
        >>> for text in ("4 ", "threads"):
        ...     reply.add_event({"text": text})
        >>> reply.add_event({"type": "activity", "payload": {"label": "Counted"}})
        >>> reply.parts
        ['4 threads', {'type': 'activity', 'payload': {'label': 'Counted'}}]
        """
        return [
            join_surrogates(part) if isinstance(part, str) else part
            for part in self.unconverted_parts()
        ]

    def unconverted_parts(self) -> list[str | dict[str, Any]]:
        """Return `parts`, except that surrogates, which JSON allows, are still in the texts.

        A renderer that shows only a part of a text does not need to convert all of it.
        """
        return _joined([p for p in self.pieces if isinstance(p, str) or not is_transient(p)])

    @property
    def text(self) -> str:
        """The text, in Markdown as the app sent it; texts divided by blocks become paragraphs."""
        texts = [part for part in self.parts if isinstance(part, str)]
        if len(texts) == 1:
            return texts[0]
        return "\n\n".join(text.strip("\n") for text in texts if text.strip())

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The blocks, with ``id``, ``type`` and ``payload``.

        A block replaces an earlier one with the same id, in its place.
        """
        return [piece for piece in self.pieces if isinstance(piece, dict)]

    @property
    def is_empty(self) -> bool:
        """Whether the reply has neither text nor blocks to show."""
        pieces = (p for p in self.pieces if isinstance(p, str) or not is_transient(p))
        return all(isinstance(piece, str) and not piece.strip() for piece in pieces)

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The tables as DataFrames, in the order in which the app sent them.

        In a table of the text, a column of numbers is ``Int64`` or ``Float64``; others are
        ``string``, also columns with integers that these types would round.

        Raises
        ------
        UserError
            A table has more than 2,000,000 cells or 10,000 columns.
        """
        from cpsl_notebook.reply.tables import block_table, markdown_tables

        tables = []
        for part in self.parts:
            found = markdown_tables(part) if isinstance(part, str) else [block_table(part)]
            tables += [table for table in found if table is not None]
        return tables

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
        values = _json_values([self.text]) or _json_values(self.code)
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
        check_type(isinstance(data, dict), "data", data, "It must be a dict.")
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
        advice = "It must be a cpsl.ChatResponse."
        check_type(hasattr(response, "raw"), "response", response, advice)
        self.session_id = clean(str(response.session_id or ""))
        self.request_id = clean(str(response.request_id or ""))
        replies = response.raw.get("replies") if isinstance(response.raw, dict) else None
        replies = [reply for reply in replies or [] if isinstance(reply, dict)]
        # The official client's `text` is only the first of several replies.
        if not any(isinstance(reply.get("text"), str) and reply["text"] for reply in replies):
            self.pieces.append(response.text)
        for reply in replies:
            text, block = reply.get("text"), _find_block(reply)
            if isinstance(text, str) and text:
                is_next_text = bool(self.pieces) and isinstance(self.pieces[-1], str)
                self.pieces += ["\n\n", text] if is_next_text else [text]
            if block is not None:
                self._add_block(block)

    def join_pieces(self) -> None:
        """Join the pieces of each text of a reply that has ended, which takes less memory."""
        self.pieces = _joined(self.pieces)
        self._positions = {
            key: position
            for position, piece in enumerate(self.pieces)
            if isinstance(piece, dict) and (key := _block_id(piece)) is not None
        }

    def _add_block(self, block: dict[str, Any]) -> None:
        text = block["payload"].get("text") if isinstance(block["payload"], dict) else None
        is_notification = block["type"] == "notification"
        self.notification = text if is_notification and isinstance(text, str) else ""
        key = _block_id(block)
        if key is not None and key in self._positions:
            self.pieces[self._positions[key]] = block
            return
        if key is not None:
            self._positions[key] = len(self.pieces)
        self.pieces.append(block)


def _block_id(block: dict[str, Any]) -> str | int | None:
    """Return the id by which a later block replaces this one; ``None`` if it has none."""
    key = block.get("id")
    return key if isinstance(key, str | int) and key != "" else None


def _joined(pieces: list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
    """Return pieces with the texts that follow one another joined."""
    joined: list[str | dict[str, Any]] = []
    for is_text, run in itertools.groupby(pieces, lambda piece: isinstance(piece, str)):
        part = list(run)
        joined += ["".join(map(str, part))] if is_text else part
    return joined


def _json_values(texts: list[str]) -> list[Any]:
    """Return the values of the texts that are JSON."""
    values = []
    for text in texts:
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(text, parse_constant=_refuse_constant))
    return values


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
