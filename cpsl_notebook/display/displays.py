"""The ways to show a reply, while it streams and when it is finished.

`choose` returns the display that suits the front end. An error while a reply is shown does not affect
the reply itself.
"""

from __future__ import annotations

import abc
import contextvars
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from IPython.display import display

from cpsl_notebook.display.base import Display, is_empty_failure
from cpsl_notebook.display.marimo_output import MarimoDisplay
from cpsl_notebook.front_end import front_end
from cpsl_notebook.printing import print_text, write
from cpsl_notebook.reply.block_types import is_transient
from cpsl_notebook.reply.footer import footer
from cpsl_notebook.reply.rendering import PartRenderer, bundle, plain, unformatted
from cpsl_notebook.reproducible import is_reproducible
from cpsl_notebook.sanitize import clean, one_line, split_complete

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["choose", "output_metadata"]

_logger = logging.getLogger(__name__)

_PAINT_INTERVAL = 0.12  # seconds
_MIN_GROWTH = 1.1  # a repaint sends the whole reply again, so wait until it has grown by a tenth
_MAX_STATUS = 70  # characters of the line that shows that a terminal is waiting


def choose(kind: str = "auto") -> Display:
    """Return a display.

    Parameters
    ----------
    kind : str
        ``"widget"``, ``"html"``, ``"text"``, ``"quiet"``, or ``"auto"`` for what suits the front
        end. Where outputs cannot be updated, ``"widget"`` and ``"html"`` become ``"auto"``: text in
        a terminal, the finished reply in a run without a front end.

    Returns
    -------
    Display
        A display for one reply.
    """
    makers: dict[str, type[Display]] = {
        "widget": _WidgetDisplay,
        "html": _HtmlDisplay,
        "text": _TextDisplay,
        "quiet": _QuietDisplay,
        "console": _TextDisplay,
        "captured": _FinalDisplay,
        "marimo": MarimoDisplay,
        "headless": _FinalDisplay,
    }
    front = front_end()
    # A notebook that is not recognised looks like a console, so a setting applies there, too.
    if kind == "auto" or (kind in ("widget", "html") and front not in ("widget", "console")):
        kind = front
    return makers[kind]()


class _QuietDisplay(Display):
    """Shows nothing, except that a conversation was lost."""

    def _finish(self, reply: Reply) -> None:
        if reply.lost_conversation:
            print_text(reply.lost_conversation, "stderr")


class _FinalDisplay(Display):
    """Shows the finished reply once."""

    def _finish(self, reply: Reply) -> None:
        if not is_empty_failure(reply):
            final = self._final(reply)
            try:
                display(final, raw=True, metadata={"capsule": output_metadata(reply)})
            except Exception:  # for example, a terminal that cannot encode the text
                _logger.debug("Showing a reply failed", exc_info=True)
                print_text(final["text/plain"])

    def _final(self, reply: Reply) -> dict[str, str]:
        """Return the final MIME bundle."""
        reply.join_pieces()
        return self._render(reply, bundle) or {"text/plain": unformatted(reply)}


class _LiveDisplay(_FinalDisplay, abc.ABC):
    """Shows one output that changes while the reply grows and is static at the end.

    A thread paints, so that the last text is also painted while the service pauses.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._finished = threading.Event()
        self._painter: threading.Thread | None = None

    def _start(self, reply: Reply) -> None:
        self._handle = display(self._open(reply), raw=True, display_id=True)
        # With the cell's context, in which ipykernel keeps where outputs go.
        paint = contextvars.copy_context().run
        self._painter = threading.Thread(target=paint, args=(self._paint_all, reply), daemon=True)
        self._painter.start()

    def _finish(self, reply: Reply) -> None:
        self._finished.set()
        if self._painter is not None:
            self._painter.join()
        try:
            if self._handle is None:
                super()._finish(reply)
            else:
                metadata = {"capsule": output_metadata(reply)}
                self._handle.update(self._final(reply), raw=True, metadata=metadata)
        finally:
            self._close()

    def _paint_all(self, reply: Reply) -> None:
        while not self._finished.wait(_PAINT_INTERVAL):
            self._try(self._paint, reply)

    @abc.abstractmethod
    def _open(self, reply: Reply) -> dict[str, Any]:
        """Return the MIME bundle to show first."""

    @abc.abstractmethod
    def _paint(self, reply: Reply) -> None:
        """Show what has arrived."""

    def _close(self) -> None:
        """Remove what only the live display needs; by default, nothing."""


class _WidgetDisplay(_LiveDisplay):
    """Shows a panel of widgets while the reply streams."""

    _panel: Any = None

    def _open(self, reply: Reply) -> dict[str, Any]:
        from cpsl_notebook.display.panel import Panel

        self._panel = Panel(reply, self._stopper.stop)
        opened: dict[str, Any] = self._panel.bundle
        return opened

    def _paint(self, reply: Reply) -> None:
        self._panel.paint()

    def _close(self) -> None:
        if self._panel is not None:
            self._panel.close()


class _HtmlDisplay(_LiveDisplay):
    """Shows the reply as HTML, updated when it has grown by a tenth or pauses."""

    def _open(self, reply: Reply) -> dict[str, Any]:
        self._pieces = self._painted_pieces = 0
        self._length = self._painted_length = 0
        return bundle(reply)

    def _paint(self, reply: Reply) -> None:
        new = reply.pieces[self._pieces :]
        self._pieces += len(new)
        self._length += sum(len(piece) for piece in new if isinstance(piece, str))
        has_grown = self._length >= self._painted_length * _MIN_GROWTH
        if self._pieces != self._painted_pieces and (not new or has_grown):
            self._handle.update(bundle(reply), raw=True)
            self._painted_pieces, self._painted_length = self._pieces, self._length


class _TextDisplay(Display):
    """Writes texts and blocks as they arrive, and the footer below them.

    A terminal shows on one line that it is waiting; the line disappears when something arrives.
    """

    def __init__(self) -> None:
        self._taken = 0  # pieces of the reply
        self._pending = ""  # may be continued by the next text
        self._written = ""  # the end of what was written
        self._is_after_block = False
        self._status = ""
        self._blocks: dict[int, Any] = {}  # those that were written, by position

    def _start(self, reply: Reply) -> None:
        self._renderer = PartRenderer(reply)
        self._show_status(f"Waiting for {reply.app}…")

    def _update(self, reply: Reply) -> None:
        # A reply with a format is written at the end, when its format is known.
        for piece in [] if reply.form else reply.pieces[self._taken :]:
            if isinstance(piece, str):
                complete, self._pending = split_complete(self._pending + piece)
                complete = clean(complete)
                self._write(complete.lstrip("\n") if self._is_after_block else complete)
            elif not is_transient(piece):
                self._write_pending()
                text = self._renderer.text(piece)
                if text:  # otherwise the limits do not show it
                    self._write_paragraph(text)
                    self._blocks[self._taken] = piece
            self._taken += 1
        self._show_status(reply.notification)

    def _finish(self, reply: Reply) -> None:
        self._show_status("")
        if is_empty_failure(reply):
            return
        self._update(reply)
        self._write_pending()
        texts = self._render(reply, self._last_texts)
        for text in [unformatted(reply)] if texts is None and reply.form else texts or []:
            self._write_paragraph(text)
        lines = [*filter(None, map(clean, self._renderer.notes())), f"[{footer(reply)}]"]
        above = "\n" if self._written and not self._written.endswith("\n") else ""
        self._write(above + "\n".join(lines) + "\n")

    def _last_texts(self, reply: Reply) -> list[str]:
        """Return what could not be written earlier."""
        if reply.form:
            return [plain(reply)]
        pieces = ((reply.pieces[position], block) for position, block in self._blocks.items())
        replaced = [new for new, block in pieces if isinstance(new, dict) and new is not block]
        return list(map(self._renderer.replaced_text, replaced))

    def _write_pending(self) -> None:
        self._write(clean(self._pending))
        self._pending = ""

    def _write_paragraph(self, text: str) -> None:
        """Write a text with an empty line above and below it."""
        if text:
            newlines = len(self._written) - len(self._written.rstrip("\n"))
            above = "\n" * (2 - newlines) if self._written else ""
            self._write(above + text.strip("\n") + "\n\n")
            self._is_after_block = True

    def _write(self, text: str) -> None:
        if text:
            self._show_status("")
            self._written = (self._written + text)[-2:]
            self._is_after_block = False
            write(text)

    def _show_status(self, text: str) -> None:
        """Show a status at the start of a line of a terminal, in place of the last one."""
        is_line_start = not self._written or self._written.endswith("\n")
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        if not (is_terminal and is_line_start):
            return
        text = one_line(text)[:_MAX_STATUS]
        if text != self._status:
            write("\r" + " " * len(self._status) + "\r" + text)
            self._status = text


def output_metadata(reply: Reply) -> dict[str, Any]:
    """Return the metadata of the output of a reply, which a saved notebook contains."""
    metadata = {"app": reply.app, "complete": reply.status == "complete"}
    if is_reproducible():
        return metadata
    ids = {"session_id": reply.session_id, "request_id": reply.request_id}
    seconds = reply.total_s if reply.total_s is None else round(reply.total_s, 4)
    return metadata | ids | {"seconds": seconds}
