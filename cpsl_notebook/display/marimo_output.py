"""Showing a reply in the output of a marimo cell."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from cpsl_notebook.display.base import Display, is_empty_failure
from cpsl_notebook.reply.rendering import html as reply_html
from cpsl_notebook.reply.rendering import unformatted
from cpsl_notebook.reply.style import plain_block

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["MarimoDisplay"]

_MIN_INTERVAL = 0.12  # seconds between updates
_IDLE_FACTOR = 8  # after an update that took t seconds, which sends the whole reply, wait 8 t


class MarimoDisplay(Display):
    """Adds the reply to the output of the running cell, and updates it as the reply grows.

    If the reply is the value of the cell's last line, marimo replaces the output with that value, so
    the reply appears once. Only the thread of the cell can change its output, so text that arrives
    shortly after an update is shown with the next text.
    """

    def __init__(self) -> None:
        self._position = 0
        self._next_update = 0.0
        self._shown = (0, "")

    def _start(self, reply: Reply) -> None:
        """Add the reply to the output; marimo's own button stops the cell."""
        # marimo replaces a part of an output by its position, but has no public function that returns
        # the next position. A test with marimo fails if this changes.
        context = sys.modules["marimo._runtime.context"].get_context()
        self._position = len(context.execution_context.output)
        self._show(reply)
        self._next_update = 0.0  # the first text is shown at once

    def _update(self, reply: Reply) -> None:
        """Update the output, unless nothing was added or the last update was too recent."""
        if time.monotonic() >= self._next_update and _content(reply) != self._shown:
            self._show(reply)

    def _finish(self, reply: Reply) -> None:
        """Show the final output."""
        reply.join_pieces()
        if is_empty_failure(reply):
            _marimo().output.replace_at_index("", self._position)
            return
        self._show(reply, self._render(reply, reply_html) or plain_block(unformatted(reply)))

    def _show(self, reply: Reply, html: str | None = None) -> None:
        started = time.monotonic()
        page = _marimo().Html(html or reply_html(reply))
        _marimo().output.replace_at_index(page, self._position)
        self._shown, shown = _content(reply), time.monotonic()
        self._next_update = shown + max(_MIN_INTERVAL, _IDLE_FACTOR * (shown - started))


def _content(reply: Reply) -> tuple[int, str]:
    return len(reply.pieces), reply.notification


def _marimo() -> Any:
    return sys.modules["marimo"]  # it runs the cell
