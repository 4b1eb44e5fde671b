"""``%capsule session list``: the conversations of this notebook, or of all notebooks, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from cpsl_notebook.conversation.registry import ConversationRegistry

__all__ = ["sessions_frame"]


def sessions_frame(
    conversations: ConversationRegistry, *, everywhere: bool = False
) -> pd.DataFrame:
    """Return conversations as a table.

    Parameters
    ----------
    conversations : ConversationRegistry
        The conversations of a notebook.
    everywhere : bool
        Whether to return the stored conversations of all notebooks instead.

    Returns
    -------
    pandas.DataFrame
        One row per conversation, the latest first, with the columns

        - ``app`` (``category``), ``name`` (``string``), ``turns`` (``Int64``),
        - ``started_at`` and ``last_at`` (``datetime64[us, UTC]``),
        - ``current`` (``boolean``; whether the next cell continues the conversation),
        - ``session_id`` (``string``),
        - with *everywhere*, also ``notebook`` and ``workspace`` (``string``).
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


def _times(values: list[str]) -> pd.Series[Any]:
    times = pd.to_datetime(pd.Series([value or None for value in values], dtype=object), utc=True)
    return times.astype("datetime64[us, UTC]")
