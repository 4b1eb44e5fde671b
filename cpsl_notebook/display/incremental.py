"""Incremental rendering of a growing reply: only new and changed parts are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cpsl_notebook.reply.block_types import is_transient
from cpsl_notebook.reply.markdown import last_block
from cpsl_notebook.reply.open_block import OpenBlock
from cpsl_notebook.reply.rendering import PartRenderer
from cpsl_notebook.sanitize import clean, split_complete

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["GrowingReply"]

_MIN_PIECE = 2_000  # characters; smaller pieces are not worth a page of their own
_MIN_CELLS = 1_000  # cells that may still be formatted, so that a table is shown in parts


class GrowingReply:
    """A growing reply as HTML, divided into pages that are final and a rest that may change.

    A page holds several texts and blocks: one page for each would be too many widgets, and a single
    one would be sent again in full for every addition. The finished lines of a growing fence or table
    are on pages, too.

    Parameters
    ----------
    reply : Reply
        The reply; another thread adds to it.

    Attributes
    ----------
    rest : str
        The text at the end that may still change, as Markdown.
    has_lines : bool
        Whether the rest ends with a fence or table.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._renderer = PartRenderer(reply)
        self._taken = 0  # pieces of the reply
        self._pending = ""  # may be continued by the next text
        self.rest = ""
        self.has_lines = False
        self._open: OpenBlock | None = None  # of which the pages have the first lines
        self._parts: list[list[str]] = []  # the HTML of each part on each page
        self._blocks: dict[int, tuple[Any, int, int]] = {}  # by position: block, page, part

    def update(self) -> None:
        """Process the pieces that have arrived since the last call."""
        self._replace_blocks()
        texts: list[str] = []
        for piece in self._reply.pieces[self._taken :]:
            if isinstance(piece, str):
                texts.append(piece)
            elif not is_transient(piece):
                self._take_text(texts)
                self._add_text(self.rest + clean(self._pending))
                self.rest = self._pending = ""
                html = self._renderer.html(piece)
                if html:  # otherwise the limits do not show it
                    self._blocks[self._taken] = (piece, *self._add(html))
            self._taken += 1
        self._take_text(texts)

    def pages(self) -> list[str]:
        """Return the HTML of the final pages; only the last can grow, unless a block is replaced."""
        self._settle()
        return ["".join(parts) for parts in self._parts]

    def rest_html(self) -> str:
        """Return `rest` as HTML."""
        if not self.rest:
            return ""
        html = self._renderer.preview(self._head + self.rest, is_part=self.is_continued)
        return self._open.part_html(html, is_first=False, is_last=True) if self._open else html

    @property
    def is_continued(self) -> bool:
        """Whether the pages end with the first lines of a fence or table, which the rest continues."""
        return self._open is not None

    @property
    def _head(self) -> str:
        return self._open.head if self._open else ""

    def _take_text(self, texts: list[str]) -> None:
        complete, self._pending = split_complete(self._pending + "".join(texts))
        self.rest += clean(complete)
        texts.clear()

    def _settle(self) -> None:
        """Move text that is final to the pages."""
        budget, head = self._renderer.budget, len(self._head)
        self.has_lines = False
        if head + len(self.rest) > budget.formatted:  # what follows is plain text
            if len(self.rest) >= _MIN_PIECE:
                self._move(self.rest.rfind("\n") + 1 or len(self.rest))
            return
        text = self._head + self.rest
        last = last_block(text)
        block = OpenBlock.of(last, text) if budget.cells > _MIN_CELLS else None
        self.has_lines = block is not None
        is_new = last.start > 0 or self._open is None
        lines = text[last.start + len(block.head) : last.end] if block else ""
        cut = block.cut(lines, is_first=is_new) if block else 0
        if last.start - head >= _MIN_PIECE or (last.start > head and (cut or self._open)):
            self._move(last.start - head)
        if block is not None and cut:
            if self._open is None:
                length = len(block.head) + cut
                block.set_columns(lines[:cut])
                self._move(length, following=block)
            else:
                self._move(cut, following=self._open)

    def _move(self, length: int, following: OpenBlock | None = None) -> None:
        """Move text to the pages; *following* is the block that the rest continues, if any."""
        self._add_text(self.rest[:length], following)
        self.rest = self.rest[length:]

    def _add_text(self, text: str, following: OpenBlock | None = None) -> None:
        if text:
            part = self._open or following
            html = self._renderer.html(self._head + text, is_part=part is not None)
            if part is not None:
                is_first, is_last = self._open is None, following is None
                html = part.part_html(html, is_first=is_first, is_last=is_last)
            self._add(html)
        self._open = following

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
                shown = self._parts[page][part]
                self._parts[page][part] = self._renderer.replaced_html(current, shown)
