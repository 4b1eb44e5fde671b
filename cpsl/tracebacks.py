"""Errors without tracebacks, because the frames of other libraries hold the token."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["without_frames"]

E = TypeVar("E", bound=BaseException)


def without_frames(error: E) -> E:
    """Remove the traceback, cause and context of an exception, and return it.

    The libraries' frames hold the token in their variables, which some tools show.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
