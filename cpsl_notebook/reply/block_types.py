"""Which types of blocks are part of a finished reply."""

from __future__ import annotations

from typing import Any

__all__ = ["TRANSIENT", "is_transient"]

TRANSIENT = frozenset({"notification", "session_event", "session_title"})  # status messages


def is_transient(block: dict[str, Any]) -> bool:
    """Return whether a block is a status message, which is not part of the finished reply.

    Such a block does not divide a text.
    """
    return isinstance(block.get("type"), str) and block["type"] in TRANSIENT
