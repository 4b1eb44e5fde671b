"""Incremental rendering of a growing reply: only new and changed parts are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cpsl_notebook.reply.blocks import block_html
from cpsl_notebook.reply.markdown import settled_length
from cpsl_notebook.sanitize import clean, split_complete

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["BlockGroups", "GrowingMarkdown"]

_MIN_PIECE = 2_000  # characters; smaller pieces are not worth a widget of their own


class GrowingMarkdown:
    r"""Markdown that grows at its end, divided into final pieces and a rest that may change.

    Attributes
    ----------
    rest : str
        The text that may still change.

    Examples
    --------
    >>> growing = GrowingMarkdown()
    >>> growing.add("First.\n\nSecond.\n\nThi")
    >>> growing.take_settled(min_length=1), growing.rest
    ('First.\n\n', 'Second.\n\nThi')
    """

    def __init__(self) -> None:
        self.rest = ""
        self._pending = ""  # may be continued by the next text

    def add(self, text: str) -> None:
        """Add text that has arrived."""
        complete, self._pending = split_complete(self._pending + text)
        self.rest += clean(complete)

    def take_settled(self, min_length: int = _MIN_PIECE) -> str:
        """Remove and return the final part of `rest`, or nothing if it is too short."""
        if len(self.rest) < min_length:
            return ""
        length = settled_length(self.rest)
        if length < min_length:
            return ""
        piece, self.rest = self.rest[:length], self.rest[length:]
        return piece


class BlockGroups:
    """The blocks of a growing reply as HTML, several per group.

    Each group is a widget: one for each block would be too many, and a single one would be sent
    again in full for every new block.
    """

    def __init__(self) -> None:
        self._blocks: list[Any] = []
        self._html: list[str] = []  # of each block
        self._groups: list[list[int]] = []  # positions of the blocks in each group

    def html(self, reply: Reply) -> list[str]:
        """Return the HTML of each group; only new and changed blocks are rendered.

        A block stays in its group, and new blocks are added to the last group or a new one.
        """
        for position, block in enumerate(list(reply.blocks)):
            is_new = position == len(self._blocks)
            if not is_new and self._blocks[position] is block:
                continue
            html = block_html(block, reply.app, remote_images=reply.remote_images)
            self._blocks[position : position + 1] = [block]
            self._html[position : position + 1] = [html]
            if is_new:
                self._add_to_group(position)
        return ["".join(self._html[position] for position in group) for group in self._groups]

    def _add_to_group(self, position: int) -> None:
        last = self._groups[-1] if self._groups else []
        if not last or sum(len(self._html[n]) for n in (*last, position)) > _MIN_PIECE:
            self._groups.append([])
        self._groups[-1].append(position)
