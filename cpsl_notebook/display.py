"""Showing a reply: while it streams, and when it is done.

Every way of showing has the same three methods; `choose` picks the one that fits the front end.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, Protocol

from IPython.core.getipython import get_ipython
from IPython.display import display

from cpsl_notebook.markdown import clean
from cpsl_notebook.render import footer, html, plain
from cpsl_notebook.reply import Reply

__all__ = ["Display", "choose", "front_end"]

_TICK = 0.1  # seconds between two looks at the reply
_GROWTH = 1.1  # a repaint sends the whole reply again: while it grows, wait for another tenth


class Display(Protocol):
    """What shows one reply."""

    def start(self, reply: Reply) -> None:
        """Begin: the prompt is about to be sent."""

    def update(self, reply: Reply) -> None:
        """Take note that something has arrived."""

    def finish(self, reply: Reply) -> None:
        """Show the reply as it shall stay."""


def choose(kind: str = "auto") -> Display:
    """Return a display: ``html``, ``text``, ``quiet``, or ``auto`` for what fits the front end."""
    makers: dict[str, type[Display]] = {
        "widget": _Live,
        "html": _Live,
        "text": _Text,
        "quiet": _Quiet,
        "headless": _Final,
    }
    return makers[front_end() if kind == "auto" else kind]()


def front_end() -> str:
    """Return what shows the output: ``html``, ``text`` (a terminal) or ``headless`` (nobody)."""
    shell: Any = get_ipython()
    if not hasattr(shell, "kernel"):
        return "text"
    # Under nbclient and its like there is nobody who could be asked for input.
    content = shell.get_parent().get("content", {})
    return "headless" if content.get("allow_stdin") is False else "html"


class _Quiet:
    """Shows nothing."""

    def start(self, reply: Reply) -> None:
        pass

    def update(self, reply: Reply) -> None:
        pass

    def finish(self, reply: Reply) -> None:
        pass


class _Final(_Quiet):
    """Shows the finished reply once."""

    def finish(self, reply: Reply) -> None:
        if _says_nothing(reply):
            return
        display(_bundle(reply), raw=True, metadata={"capsule": _metadata(reply)})


class _Live(_Quiet):
    """Repaints one output while the reply grows, and leaves it static.

    The painter is a thread, so that the tail is painted when the service pauses too.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._ended = threading.Event()
        self._painter: threading.Thread | None = None

    def start(self, reply: Reply) -> None:
        self._handle = display(_bundle(reply), raw=True, display_id=True)
        self._painter = threading.Thread(target=self._paint, args=(reply,), daemon=True)
        self._painter.start()

    def finish(self, reply: Reply) -> None:
        self._ended.set()
        if self._painter is not None:
            self._painter.join()
        if self._handle is None:  # interrupted before there was anything to update
            self._handle = display({}, raw=True, display_id=True)
        self._handle.update(_bundle(reply), raw=True, metadata={"capsule": _metadata(reply)})

    def _paint(self, reply: Reply) -> None:
        seen = painted = _size(reply)
        while not self._ended.wait(_TICK):
            size = _size(reply)
            pausing = size == seen
            if size != painted and (pausing or size[0] >= painted[0] * _GROWTH):
                self._handle.update(_bundle(reply), raw=True)
                painted = size
            seen = size


class _Text(_Quiet):
    """Writes the text as it comes, and a line below it."""

    def __init__(self) -> None:
        self._written = 0

    def update(self, reply: Reply) -> None:
        piece = reply.text[self._written :]
        if reply.status == "running":
            piece = piece.removesuffix("\r")  # half of a line end, perhaps
        self._written += len(piece)
        sys.stdout.write(clean(piece))
        sys.stdout.flush()

    def finish(self, reply: Reply) -> None:
        if _says_nothing(reply):
            return
        self.update(reply)
        blocks = plain(reply)[len(clean(reply.text).strip()) :].strip()
        lines = [blocks, *reply.notices, f"[{footer(reply)}]"]
        sys.stdout.write("\n" + "\n".join(filter(None, map(clean, lines))) + "\n")


def _says_nothing(reply: Reply) -> bool:
    """Say whether the error, which follows, is all that there is to tell."""
    return reply.status == "failed" and not (reply.text or reply.blocks)


def _size(reply: Reply) -> tuple[int, int]:
    return len(reply.text), len(reply.blocks)


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
