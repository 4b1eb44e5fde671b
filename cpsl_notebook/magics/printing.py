"""Printing the lines of the magics."""

from __future__ import annotations

from cpsl_notebook.front_end import Stream, write
from cpsl_notebook.sanitize import clean

__all__ = ["print_text"]


def print_text(text: str, stream: Stream = "stdout") -> None:
    """Print a text, which may contain what a user or a service has written."""
    write(f"{clean(text)}\n", stream)
