"""Incremental rendering of a growing reply: only new and changed parts are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cpsl_notebook.reply.block_types import is_transient
from cpsl_notebook.reply.markdown import settled_length
from cpsl_notebook.reply.rendering import PartRenderer
from cpsl_notebook.sanitize import clean, split_complete

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["GrowingReply"]

_MIN_PIECE = 2_000  # characters; smaller pieces are not worth a page of their own


class GrowingReply:
    """A growing reply as HTML, divided into pages that are final and a rest that may change.

    A page holds several texts and blocks: one page for each would be too many widgets, and a single
    one would be sent again in full for every addition.

    Parameters
    ----------
    reply : Reply
        The reply; another thread adds to it.

    Attributes
    ----------
    rest : str
        The text at the end that may still change, as Markdown.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._renderer = PartRenderer(reply)
        self._taken = 0  # pieces of the reply
        self._pending = ""  # may be continued by the next text
        self.rest = ""
        self._parts: list[list[str]] = []  # the HTML of each part on each page
        self._blocks: dict[int, tuple[Any, int, int]] = {}  # by position: block, page, part

    def update(self) -> None:
        """Take in what has arrived."""
        self._replace_blocks()
        for piece in self._reply.pieces[self._taken :]:
            if isinstance(piece, str):
                complete, self._pending = split_complete(self._pending + piece)
                self.rest += clean(complete)
            elif not is_transient(piece):
                self._add_text(self.rest + clean(self._pending))
                self.rest = self._pending = ""
                html = self._renderer.html(piece)
                if html:  # otherwise the limits do not show it
                    self._blocks[self._taken] = (piece, *self._add(html))
            self._taken += 1

    def pages(self) -> list[str]:
        """Return the HTML of the final pages; all but the last stay unless a block is replaced."""
        if len(self.rest) >= _MIN_PIECE:
            length = self._settled_length()
            if length >= _MIN_PIECE:
                self._add_text(self.rest[:length])
                self.rest = self.rest[length:]
        return ["".join(parts) for parts in self._parts]

    def rest_html(self) -> str:
        """Return `rest` as HTML."""
        return self._renderer.preview(self.rest) if self.rest else ""

    def _settled_length(self) -> int:
        budget = self._renderer.budget
        if len(self.rest) > budget.formatted:  # what follows is plain text
            return self.rest.rfind("\n") + 1 or len(self.rest)
        return settled_length(self.rest)

    def _add_text(self, text: str) -> None:
        if text:
            self._add(self._renderer.html(text))

    def _add(self, html: str) -> tuple[int, int]:
        """Add HTML to the last page or a new one; return the page and the part on it."""
        last = self._parts[-1] if self._parts else []
        if not last or sum(map(len, last)) + len(html) > _MIN_PIECE:
            self._parts.append([])
        self._parts[-1].append(html)
        return len(self._parts) - 1, len(self._parts[-1]) - 1

    def _replace_blocks(self) -> None:
        """Render the blocks again that others have replaced."""
        for position, (block, page, part) in self._blocks.items():
            current = self._reply.pieces[position]
            if current is not block and isinstance(current, dict):
                self._blocks[position] = (current, page, part)
                self._parts[page][part] = self._renderer.replaced_html(current)
