"""What this notebook knows of itself, as tables: its replies, its conversations, its connection."""

from __future__ import annotations

import contextlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.errors import UserError
from cpsl_notebook.sanitize import clean

if TYPE_CHECKING:
    from cpsl_notebook.conversation.context import NotebookContext
    from cpsl_notebook.conversation.registry import ConversationRegistry
    from cpsl_notebook.reply.model import Reply

__all__ = ["history_frame", "sessions_frame", "status"]

_HISTORY = {
    "sent_at": "datetime64[us, UTC]",
    "cell_id": "string",
    "execution_count": "Int64",
    "app": "category",
    "conversation": "string",
    "turn": "Int64",
    "template": "string",
    "prompt": "string",
    "reply": "string",
    "status": "category",
    "first_chunk_s": "Float64",
    "total_s": "Float64",
    "session_id": "string",
    "request_id": "string",
}


def history_frame(replies: list[Reply]) -> pd.DataFrame:
    """Return the prompts and replies of this kernel, oldest first.

    Returns
    -------
    pandas.DataFrame
        Columns ``sent_at`` (UTC), ``cell_id``, ``execution_count``, ``app``, ``conversation``,
        ``turn``, ``template`` (the prompt before it was filled), ``prompt``, ``reply`` (without
        escape sequences and control characters),
        ``status``, ``first_chunk_s`` and ``total_s`` (seconds), ``session_id``, ``request_id``.
    """
    # Clean, for a terminal prints the texts of a table as they are; the ids are clean already.
    rows = [vars(reply) | {"reply": clean(reply.text)} for reply in replies]
    columns = {
        name: pd.Series([row[name] for row in rows], dtype=dtype)
        for name, dtype in _HISTORY.items()
    }
    return pd.DataFrame(columns)


def sessions_frame(
    conversations: ConversationRegistry, *, everywhere: bool = False
) -> pd.DataFrame:
    """Return this notebook's conversations, or every notebook's, the latest first.

    Returns
    -------
    pandas.DataFrame
        Columns ``app``, ``name``, ``turns``, ``started_at`` and ``last_at`` (UTC), ``current``
        (the next cell goes on with it), ``session_id``; of every notebook, also ``notebook`` and
        ``workspace``.
    """
    known = conversations.everywhere() if everywhere else conversations.all()
    columns = {
        "app": pd.Series([c.app for c in known], dtype="category"),
        "name": pd.Series([c.name for c in known], dtype="string"),
        "turns": pd.Series([c.turns for c in known], dtype="Int64"),
        "started_at": _times([c.started_at for c in known]),
        "last_at": _times([c.last_at for c in known]),
        "current": pd.Series([conversations.is_current(c) for c in known], dtype="boolean"),
        "session_id": pd.Series([c.session_id for c in known], dtype="string"),
    }
    if everywhere:
        columns["notebook"] = pd.Series([c.notebook for c in known], dtype="string")
        columns["workspace"] = pd.Series([c.workspace for c in known], dtype="string")
    return pd.DataFrame(columns)


def status(context: NotebookContext) -> dict[str, Any]:
    """Return what this notebook is connected to."""
    name, known = context.notebook
    try:
        workspace, conversations = repr(context.client), len(context.conversations.all())
    except UserError as error:
        workspace, conversations = f"not connected: {error}", 0
    return {
        "workspace": workspace,
        "client": _distribution(),
        "app": context.settings.app or None,
        "notebook": name if known else None,
        "conversations": conversations,
        "replies": len(context.replies),
    }


def _times(values: list[str]) -> pd.Series[Any]:
    times = pd.to_datetime(pd.Series([value or None for value in values], dtype=object), utc=True)
    return times.astype("datetime64[us, UTC]")


def _distribution() -> str:
    """Return which package is imported as ``cpsl``, and its version."""
    for name in ("cpsl-client", "cpsl"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return "none"
