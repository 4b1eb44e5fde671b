"""The base class of displays."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cpsl_notebook.errors import StoppedError
from cpsl_notebook.sanitize import one_line

if TYPE_CHECKING:
    from cpsl_notebook.display.interrupt import Stopper
    from cpsl_notebook.reply.model import Reply

__all__ = ["Display", "is_empty_failure"]

_MAX_PROBLEM = 200  # characters of an error message
_logger = logging.getLogger(__name__)


class Display:
    """Shows one reply; this one shows nothing.

    To add a display, write a subclass that implements `_start`, `_update` and `_finish`. Their errors
    are logged and do not affect the reply.
    """

    _stopper: Stopper

    def start(self, reply: Reply, stopper: Stopper) -> None:
        """Open the display before the prompt is sent; *stopper* stops the reply, from any thread."""
        self._stopper = stopper
        self._try(self._start, reply)

    def update(self, reply: Reply) -> None:
        """Show what has arrived, or only note that something has."""
        self._try(self._update, reply)

    def finish(self, reply: Reply) -> None:
        """Show the final output, and join the pieces of the reply.

        An interrupt ends the formatting, and leaves the plain text and an error in the reply.
        """
        self._try(self._finish, reply)
        reply.join_pieces()

    def _start(self, reply: Reply) -> None:
        pass

    def _update(self, reply: Reply) -> None:
        pass

    def _finish(self, reply: Reply) -> None:
        pass

    def _try(self, step: Callable[[Reply], None], reply: Reply) -> None:
        try:
            step(reply)
        except Exception:
            _logger.debug("Showing a reply failed", exc_info=True)

    def _render(self, reply: Reply, render: Callable[[Reply], Any]) -> Any:
        """Return what a function renders; ``None`` if it fails or is interrupted."""
        try:
            with self._stopper.interruptible():
                return render(reply)
        except KeyboardInterrupt:
            reply.notices.append("Formatting was interrupted, so the reply is shown as plain text.")
            if reply.error is None:
                reply.error = StoppedError("the reply is kept, but it is shown as plain text.")
        except Exception as error:
            _logger.debug("Formatting a reply failed", exc_info=True)
            problem = one_line(f"{type(error).__name__}: {error}")[:_MAX_PROBLEM]
            reply.notices.append(
                f"Formatting failed ({problem}); the reply is shown as plain text."
            )
        return None


def is_empty_failure(reply: Reply) -> bool:
    """Return whether there is nothing to show but the error, which is raised afterwards."""
    return reply.status == "failed" and reply.is_empty
