"""``%capsule session list``: the conversations of this notebook, or of all notebooks, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.conversation.registry import SHORT_ID
from cpsl_notebook.reproducible import hide_values, shown_path
from cpsl_notebook.sanitize import one_line

if TYPE_CHECKING:
    from cpsl_notebook.conversation.registry import ConversationRegistry
    from cpsl_notebook.reply.model import Reply

__all__ = ["sessions_frame"]

_TABLE_WIDTH = 100  # characters of a row; titles fill the width that the other columns leave
_WIDTH_OF_OTHERS = 62  # characters of the columns except app, name and title, for 1,000 rows
_VARYING = ("id", "last_at", "started_at", "session_id", "workspace")
_TITLE_LENGTHS = (12, 40)  # characters, minimum and maximum


def sessions_frame(
    conversations: ConversationRegistry, replies: list[Reply], *, everywhere: bool = False
) -> pd.DataFrame:
    """Return conversations as a table.

    Parameters
    ----------
    conversations : ConversationRegistry
        The conversations of a notebook.
    replies : list of Reply
        The replies of this kernel, oldest first.
    everywhere : bool
        Whether to return the stored conversations of all notebooks instead.

    Returns
    -------
    pandas.DataFrame
        One row per conversation, the latest first, with the columns

        - ``id`` (``string``; the first characters of the session id, enough for
          ``%capsule session use``),
        - ``app`` (``category``), ``name`` (``string``),
        - ``title`` (``string``; the beginning of the first prompt in this kernel; missing for a
          conversation that this kernel has not used, because prompts are not stored),
        - ``turns`` (``Int64``), ``last_at`` (``datetime64[us, UTC]``),
        - ``current`` (``boolean``; whether the next cell continues the conversation),
        - with *everywhere*, or if the workspace is not known, also ``started_at``
          (``datetime64[us, UTC]``), ``session_id``, ``notebook`` and ``workspace`` (``string``).

        If outputs are reproducible, times and ids are missing, and notebooks have no folder.
    """
    known = conversations.everywhere() if everywhere else conversations.all()
    has_workspaces = everywhere or conversations.workspace is None
    prompts = {(reply.app, reply.session_id): reply.prompt for reply in reversed(replies)}
    room = _TABLE_WIDTH - _WIDTH_OF_OTHERS - _longest([c.app for c in known])
    room -= _longest([c.name for c in known])
    titles = [_title(prompts.get((c.app, c.session_id)), room) for c in known]
    columns = {
        "id": pd.Series(_short([c.session_id for c in known]), dtype="string"),
        "app": pd.Series([c.app for c in known], dtype="category"),
        "name": pd.Series([c.name for c in known], dtype="string"),
        "title": pd.Series(titles, dtype="string"),
        "turns": pd.Series([c.turns for c in known], dtype="Int64"),
        "last_at": _times([c.last_at for c in known]),
        "current": pd.Series([conversations.is_current(c) for c in known], dtype="boolean"),
    }
    if has_workspaces:
        columns["started_at"] = _times([c.started_at for c in known])
        for name in ("session_id", "workspace"):
            columns[name] = pd.Series([getattr(c, name) for c in known], dtype="string")
        notebooks = [shown_path(Path(c.notebook)) for c in known]
        columns["notebook"] = pd.Series(notebooks, dtype="string")
    return pd.DataFrame(hide_values(columns, *(name for name in _VARYING if name in columns)))


def _longest(texts: list[str]) -> int:
    return max(map(len, ["name", *texts]))  # at least the heading


def _title(prompt: str | None, room: int) -> str | None:
    if prompt is None:
        return None
    fewest, most = _TITLE_LENGTHS
    length = max(fewest, min(room, most))
    line = one_line(prompt)
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _short(session_ids: list[str]) -> list[str]:
    """Return a unique prefix of each id."""
    distinct = set(session_ids)
    length = SHORT_ID
    while len({each[:length] for each in distinct}) < len(distinct):
        length += 1
    return [each[:length] for each in session_ids]


def _times(values: list[str]) -> pd.Series[Any]:
    times = pd.to_datetime(pd.Series([value or None for value in values], dtype=object), utc=True)
    return times.astype("datetime64[us, UTC]")
