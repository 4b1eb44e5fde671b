"""Errors for users of the notebook."""

from __future__ import annotations

import traceback

__all__ = ["UserError", "told"]


class UserError(Exception):
    """One line that says what is wrong and what to do next.

    IPython shows it as that line alone, as a proper error output, and Run All stops.

    Parameters
    ----------
    message
        The line.
    kind
        The name shown before it: that of the exception it stands for.

    Attributes
    ----------
    full
        Whether to show the whole traceback instead.
    """

    full = False

    def __init__(self, message: str = "", kind: str = "UserError") -> None:
        super().__init__(message)
        self.kind = kind

    def _render_traceback_(self) -> list[str]:
        if self.full:
            return "".join(traceback.format_exception(self)).splitlines()
        return [f"{self.kind}: {self}"]


def told(error: Exception) -> UserError:
    """Return an error as a line for the user; one that is a line already stays as it is."""
    if isinstance(error, UserError):
        return error
    said = " ".join(str(error).split()) or "no message"
    # The client's own errors say what to do; of any other one, the place may matter.
    of_client = type(error).__module__.partition(".")[0] == "cpsl"
    hint = "" if of_client else " (--traceback shows where)"
    return UserError(said + hint, type(error).__name__)
