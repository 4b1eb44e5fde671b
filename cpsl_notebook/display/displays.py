"""The ways to show a reply, while it streams and when it is finished.

Every display has the same three methods. `choose` returns the one that suits the front end.
"""

from __future__ import annotations

import abc
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from IPython.display import display

from cpsl_notebook.display.marimo_output import MarimoDisplay
from cpsl_notebook.front_end import front_end
from cpsl_notebook.reply.footer import footer
from cpsl_notebook.reply.rendering import blocks_text, bundle, plain
from cpsl_notebook.sanitize import clean, split_complete

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["Display", "choose"]

_PAINT_INTERVAL = 0.12  # seconds
_MIN_GROWTH = 1.1  # a repaint sends the whole reply again, so wait until it has grown by a tenth


class Display(Protocol):
    """Shows one reply."""

    def start(self, reply: Reply, stop: Callable[[], None]) -> None:
        """Open the display before the prompt is sent; *stop* stops the reply, from any thread."""

    def update(self, reply: Reply) -> None:
        """Note that something has arrived."""

    def finish(self, reply: Reply) -> None:
        """Show the final output."""


def choose(kind: str = "auto") -> Display:
    """Return a display.

    Parameters
    ----------
    kind : str
        ``"widget"``, ``"html"``, ``"text"``, ``"quiet"``, or ``"auto"`` for what suits the front
        end. Where a front end cannot update an output, ``"widget"`` and ``"html"`` become
        ``"auto"``: text in a terminal, the finished reply in a run without a front end.

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
        "captured": _FinalDisplay,
        "marimo": MarimoDisplay,
        "headless": _FinalDisplay,
    }
    front = front_end()
    if kind == "auto" or (kind in ("widget", "html") and front != "widget"):
        kind = front
    return makers[kind]()


class _QuietDisplay:
    """Shows nothing, except that a conversation was lost."""

    def start(self, reply: Reply, stop: Callable[[], None]) -> None:
        pass

    def update(self, reply: Reply) -> None:
        pass

    def finish(self, reply: Reply) -> None:
        if reply.lost_conversation:
            sys.stderr.write(f"{clean(reply.lost_conversation)}\n")


class _FinalDisplay(_QuietDisplay):
    """Shows the finished reply once."""

    def finish(self, reply: Reply) -> None:
        if _is_empty_failure(reply):
            return
        display(bundle(reply), raw=True, metadata={"capsule": _metadata(reply)})


class _LiveDisplay(_QuietDisplay, abc.ABC):
    """Shows one output that changes while the reply grows, and makes it static in the end.

    A thread paints, so that the last text is also painted while the service pauses.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._finished = threading.Event()
        self._painter: threading.Thread | None = None

    def start(self, reply: Reply, stop: Callable[[], None]) -> None:
        self._handle = display(self._open(reply, stop), raw=True, display_id=True)
        self._painter = threading.Thread(target=self._paint_until_finished, daemon=True)
        self._painter.start()

    def finish(self, reply: Reply) -> None:
        self._finished.set()
        if self._painter is not None:
            self._painter.join()
        final = {"text/plain": clean(reply.text)}  # shown if rendering fails
        try:
            final = bundle(reply)
        finally:
            try:
                self._handle.update(final, raw=True, metadata={"capsule": _metadata(reply)})
            finally:
                self._close()

    def _paint_until_finished(self) -> None:
        while not self._finished.wait(_PAINT_INTERVAL):
            self._paint()

    @abc.abstractmethod
    def _open(self, reply: Reply, stop: Callable[[], None]) -> dict[str, Any]:
        """Return the MIME bundle to show first."""

    @abc.abstractmethod
    def _paint(self) -> None:
        """Show what has arrived."""

    def _close(self) -> None:
        """Remove what only the live display needs; by default, nothing."""


class _WidgetDisplay(_LiveDisplay):
    """Shows a panel of widgets while the reply streams."""

    def _open(self, reply: Reply, stop: Callable[[], None]) -> dict[str, Any]:
        from cpsl_notebook.display.panel import Panel

        self._panel = Panel(reply, stop)
        return self._panel.bundle

    def _paint(self) -> None:
        self._panel.paint()

    def _close(self) -> None:
        self._panel.close()


class _HtmlDisplay(_LiveDisplay):
    """Shows the reply as HTML, updated when it has grown by a tenth or pauses."""

    def _open(self, reply: Reply, stop: Callable[[], None]) -> dict[str, Any]:
        self._reply = reply
        self._last_size = self._painted_size = _size(reply)
        return bundle(reply)

    def _paint(self) -> None:
        size = _size(self._reply)
        is_pausing = size == self._last_size
        has_grown = size[0] >= self._painted_size[0] * _MIN_GROWTH
        if size != self._painted_size and (is_pausing or has_grown):
            self._handle.update(bundle(self._reply), raw=True)
            self._painted_size = size
        self._last_size = size


class _TextDisplay(_QuietDisplay):
    """Writes the text as it arrives, and the footer below it."""

    def __init__(self) -> None:
        self._pieces_written = 0
        self._pending = ""  # may be continued by the next text

    def update(self, reply: Reply) -> None:
        if reply.form:  # shown at the end, when its format is known
            return
        new = "".join(reply.pieces[self._pieces_written :])
        self._pieces_written = len(reply.pieces)
        complete, self._pending = split_complete(self._pending + new)
        sys.stdout.write(clean(complete))
        sys.stdout.flush()

    def finish(self, reply: Reply) -> None:
        if _is_empty_failure(reply):
            return
        self.update(reply)
        sys.stdout.write(clean(self._pending))
        lines = [
            plain(reply) if reply.form else blocks_text(reply),
            *reply.notices,
            f"[{footer(reply)}]",
        ]
        sys.stdout.write("\n" + "\n".join(filter(None, map(clean, lines))) + "\n")


def _is_empty_failure(reply: Reply) -> bool:
    """Return whether there is nothing to show but the error, which is raised afterwards."""
    return reply.status == "failed" and not (reply.text or reply.blocks)


def _size(reply: Reply) -> tuple[int, int]:
    return sum(map(len, reply.pieces)), len(reply.blocks)


def _metadata(reply: Reply) -> dict[str, Any]:
    return {
        "app": reply.app,
        "session_id": reply.session_id,
        "request_id": reply.request_id,
        "seconds": reply.total_s,
        "complete": reply.status == "complete",
    }
