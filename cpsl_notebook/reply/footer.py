"""The footer of a reply: the app, the conversation, the turn, the times, and how the reply ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpsl_notebook.reproducible import is_reproducible
from cpsl_notebook.sanitize import clean

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["footer"]


def footer(reply: Reply) -> str:
    """Return the footer of a finished reply as one line of text.

    Examples
    --------
    >>> from cpsl_notebook import Reply
    >>> footer(Reply("support-ops", "How many?", turn=2, total_s=0.5, status="stopped"))
    'support-ops · turn 2 · total 0.5 s · stopped'
    """
    fields = [reply.app]
    if reply.conversation:
        fields.append(f"conversation {reply.conversation}")
    if reply.turn:
        earlier = f" (earlier run: turn {reply.turn_before})" if reply.turn_before else ""
        fields.append(f"turn {reply.turn}{earlier}")
    timed = not is_reproducible()
    if reply.recorded_at is not None:
        fields.append(f"recorded {reply.recorded_at:%Y-%m-%d}" if timed else "recorded")
    elif reply.first_chunk_s is not None and timed:
        fields.append(f"first text {reply.first_chunk_s:.1f} s")
    if reply.total_s is not None and reply.recorded_at is None and timed:
        fields.append(f"total {reply.total_s:.1f} s")
    if reply.status != "complete":
        fields.append(reply.status)  # the error below the reply gives the reason
    return clean(" · ".join(fields))
