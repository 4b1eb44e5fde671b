"""Printing text to the standard streams."""

from __future__ import annotations

import sys
from typing import Literal

from cpsl_notebook.sanitize import clean

__all__ = ["print_text", "write"]

Stream = Literal["stdout", "stderr"]


def print_text(text: str, stream: Stream = "stdout") -> None:
    """Print a text, which may contain what a user or a service has written."""
    write(f"{clean(text)}\n", stream)


def write(text: str, stream: Stream = "stdout") -> None:
    """Write text to a standard stream; characters that it cannot encode become question marks."""
    file = getattr(sys, stream)
    if file is None:  # a program without a console
        return
    encoding = getattr(file, "encoding", None) or "utf-8"
    file.write(text.encode(encoding, "replace").decode(encoding))
    if not hasattr(file, "flush_interval"):  # of ipykernel: sends what was written 5 times a second
        file.flush()
