"""Showing a reply: while it streams, and when it is done.

Every way of showing has the same three methods; `choose` picks the one that fits the front end.
"""

from __future__ import annotations

import abc
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from IPython.display import display

from cpsl_notebook.front_end import front_end
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.reply.rendering import blocks_text, footer, html, plain
from cpsl_notebook.sanitize import clean, split_complete

__all__ = ["Display", "choose"]

_TICK = 0.12  # seconds between two looks at the reply
_GROWTH = 1.1  # a repaint sends the whole reply again: while it grows, wait for another tenth


class Display(Protocol):
    """What shows one reply."""

    def start(self, reply: Reply, stop: Callable[[], None]) -> None:
        """Begin: the prompt is about to be sent; *stop* ends the reply, from any thread."""

    def update(self, reply: Reply) -> None:
        """Take note that something has arrived."""

    def finish(self, reply: Reply) -> None:
        """Show the reply as it shall stay."""


def choose(kind: str = "auto") -> Display:
    """Return a display.

    Parameters
    ----------
    kind
        ``widget``, ``html``, ``text``, ``quiet``, or ``auto`` for what fits the front end. Where
        nobody looks on, a widget or a page is shown only once it is finished; in a terminal, which
        cannot repaint, it is text.
    """
    makers: dict[str, type[Display]] = {
        "widget": _Widget,
        "html": _Page,
        "text": _Text,
        "quiet": _Quiet,
        "captured": _Final,
        "headless": _Final,
    }
    front = front_end()
    if kind == "auto" or (kind in ("widget", "html") and front != "widget"):
        kind = front
    return makers[kind]()


class _Quiet:
    """Shows nothing, but for what must be said."""

    def start(self, reply: Reply, stop: Callable[[], None]) -> None:
        pass

    def update(self, reply: Reply) -> None:
        pass

    def finish(self, reply: Reply) -> None:
        if reply.lost:
            sys.stderr.write(f"{clean(reply.lost)}\n")


class _Final(_Quiet):
    """Shows the finished reply once."""

    def finish(self, reply: Reply) -> None:
        if _says_nothing(reply):
            return
        display(_bundle(reply), raw=True, metadata={"capsule": _metadata(reply)})


class _Live(_Quiet, abc.ABC):
    """Shows one output that changes while the reply grows, and leaves it static.

    The painter is a thread, so that the tail is painted when the service pauses too.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._ended = threading.Event()
        self._painter: threading.Thread | None = None

    def start(self, reply: Reply, stop: Callable[[], None]) -> None:
        self._handle = display(self._open(reply, stop), raw=True, display_id=True)
        self._painter = threading.Thread(target=self._paint_until_ended, daemon=True)
        self._painter.start()

    def finish(self, reply: Reply) -> None:
        self._ended.set()
        if self._painter is not None:
            self._painter.join()
        bundle = {"text/plain": clean(reply.text)}  # should the rest fail, this is not lost
        try:
            bundle = _bundle(reply)
        finally:
            try:
                self._handle.update(bundle, raw=True, metadata={"capsule": _metadata(reply)})
            finally:
                self._close()

    def _paint_until_ended(self) -> None:
        while not self._ended.wait(_TICK):
            self._paint()

    @abc.abstractmethod
    def _open(self, reply: Reply, stop: Callable[[], None]) -> dict[str, Any]:
        """Return what to show at first."""

    @abc.abstractmethod
    def _paint(self) -> None:
        """Show what has arrived."""

    @abc.abstractmethod
    def _close(self) -> None:
        """Clear away what was only for the moment."""


class _Widget(_Live):
    """A panel of widgets, for as long as the reply streams."""

    def _open(self, reply: Reply, stop: Callable[[], None]) -> dict[str, Any]:
        from cpsl_notebook.display.panel import Panel

        self._panel = Panel(reply, stop)
        return self._panel.bundle

    def _paint(self) -> None:
        self._panel.paint()

    def _close(self) -> None:
        self._panel.close()


class _Page(_Live):
    """The whole reply, painted anew when it has grown by a tenth or pauses."""

    def _open(self, reply: Reply, stop: Callable[[], None]) -> dict[str, Any]:
        self._reply = reply
        self._seen = self._painted = _size(reply)
        return _bundle(reply)

    def _paint(self) -> None:
        size = _size(self._reply)
        pausing = size == self._seen
        if size != self._painted and (pausing or size[0] >= self._painted[0] * _GROWTH):
            self._handle.update(_bundle(self._reply), raw=True)
            self._painted = size
        self._seen = size

    def _close(self) -> None:
        pass


class _Text(_Quiet):
    """Writes the text as it comes, and a line below it."""

    def __init__(self) -> None:
        self._written = 0  # pieces
        self._held = ""

    def update(self, reply: Reply) -> None:
        if not reply.form:  # else it is shown once it is known to be of that form
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        came = "".join(reply.pieces[self._written :])
        self._written = len(reply.pieces)
        whole, self._held = split_complete(self._held + came)
        sys.stdout.write(clean(whole))
        sys.stdout.flush()

    def finish(self, reply: Reply) -> None:
        if _says_nothing(reply):
            return
        self.update(reply)
        sys.stdout.write(clean(self._held))
        lines = [
            plain(reply) if reply.form else blocks_text(reply),
            *reply.notices,
            f"[{footer(reply)}]",
        ]
        sys.stdout.write("\n" + "\n".join(filter(None, map(clean, lines))) + "\n")


def _says_nothing(reply: Reply) -> bool:
    """Say whether the error, which follows, is all that there is to tell."""
    return reply.status == "failed" and not (reply.text or reply.blocks)


def _size(reply: Reply) -> tuple[int, int]:
    return sum(map(len, reply.pieces)), len(reply.blocks)


def _bundle(reply: Reply) -> dict[str, str]:
    return {"text/html": html(reply), "text/plain": plain(reply)}


def _metadata(reply: Reply) -> dict[str, Any]:
    return {
        "app": reply.app,
        "session_id": reply.session_id,
        "request_id": reply.request_id,
        "seconds": reply.total_s,
        "complete": reply.status == "complete",
    }
