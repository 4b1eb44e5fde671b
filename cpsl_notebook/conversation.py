"""Which conversation a cell continues: one per notebook, workspace, app and name.

Session ids are kept on disk for a later kernel of the same notebook; prompts and replies are not.
The store is a help, never a hindrance: where it cannot be used, the cell works all the same.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Conversation", "Conversations", "default_store"]

_SCHEMA = """CREATE TABLE IF NOT EXISTS conversations (
    session_id TEXT NOT NULL, notebook TEXT NOT NULL, workspace TEXT NOT NULL, app TEXT NOT NULL,
    name TEXT NOT NULL, started_at TEXT NOT NULL, last_at TEXT NOT NULL, turns INTEGER NOT NULL,
    PRIMARY KEY (session_id, notebook, workspace, app))"""


@dataclass
class Conversation:
    """One conversation with one app.

    Attributes
    ----------
    name
        What ``--session`` called it; empty for the notebook's own.
    session_id
        The service's id; empty before the first reply.
    turns
        How many replies it has had.
    """

    app: str
    name: str = ""
    session_id: str = ""
    turns: int = 0
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    last_at: str = ""

    @property
    def label(self) -> str:
        """How it is called in a footer: its name, or the start of its session id."""
        return self.name or self.session_id[:8]

    @property
    def described(self) -> str:
        """What it is, for a sentence about it."""
        turns = f"{self.turns} turn{'' if self.turns == 1 else 's'}"
        last = f", last on {self.last_at.replace('T', ' ')[:16]} UTC" if self.last_at else ""
        return f"an earlier conversation with {self.app} ({turns}{last})"


def default_store() -> Path:
    """Return ``conversations.sqlite`` in ``CAPSULE_HOME``, or in ``~/.capsule``."""
    home = os.environ.get("CAPSULE_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".capsule") / "conversations.sqlite"


class Conversations:
    """The conversations of one notebook with the apps of one workspace.

    Parameters
    ----------
    path
        The SQLite file that outlives the kernel.
    notebook, workspace
        What tells this notebook and this workspace from others.
    """

    def __init__(self, path: Path, notebook: str, workspace: str) -> None:
        self._path = path
        self._notebook = notebook
        self._workspace = workspace
        self._current: dict[tuple[str, str], Conversation] = {}
        self._warned = False

    def current(self, app: str, name: str = "") -> Conversation:
        """Return the conversation to continue; a new one, kept once it is answered, if none is."""
        return self._current.get((app, name)) or Conversation(app, name)

    def has_current(self, app: str, name: str = "") -> bool:
        """Say whether this kernel has begun, or resumed, that conversation."""
        return (app, name) in self._current

    def start_anew(self, app: str, name: str = "") -> Conversation:
        """Let the next cell start another conversation."""
        self._current[app, name] = Conversation(app, name)
        return self._current[app, name]

    def use(self, app: str, session_id: str, name: str = "") -> Conversation:
        """Let the next cell continue the conversation of this id."""
        known = [c for c in self._stored() if c.session_id == session_id and c.app == app]
        conversation = known[0] if known else Conversation(app, name, session_id)
        self._current[app, name] = conversation
        return conversation

    def apps(self) -> list[str]:
        """Return the apps that this kernel has talked to."""
        return list(dict.fromkeys(app for app, _ in self._current))

    def answered(self, conversation: Conversation, session_id: str) -> bool:
        """Count a reply; return whether the service went on with another session than asked."""
        self._current[conversation.app, conversation.name] = conversation
        restarted = bool(
            conversation.session_id and session_id and session_id != conversation.session_id
        )
        if restarted:
            conversation.turns = 0
        conversation.session_id = session_id or conversation.session_id
        conversation.turns += 1
        conversation.last_at = datetime.now(UTC).isoformat(timespec="seconds")
        if conversation.session_id:
            self._keep(conversation)
        return restarted

    def earlier(self, app: str, name: str = "") -> Conversation | None:
        """Return the last conversation with an app that is kept for this notebook, if any."""
        return next((c for c in self._stored() if (c.app, c.name) == (app, name)), None)

    def all(self) -> list[Conversation]:
        """Return this notebook's conversations, the latest first, and what is not stored yet."""
        stored = self._stored()
        ids = {conversation.session_id for conversation in stored}
        return [c for c in self._current.values() if c.session_id not in ids] + stored

    def is_current(self, conversation: Conversation) -> bool:
        """Say whether the next cell would continue it."""
        current = self._current.get((conversation.app, conversation.name))
        return current is not None and current.session_id == conversation.session_id

    def _stored(self) -> list[Conversation]:
        rows = self._run(
            """SELECT app, name, session_id, turns, started_at, last_at FROM conversations
            WHERE notebook = ? AND workspace = ? ORDER BY last_at DESC, rowid DESC""",
            (self._notebook, self._workspace),
        )
        return [Conversation(*row) for row in rows]

    def _keep(self, kept: Conversation) -> None:
        self._run(
            """INSERT INTO conversations
            (notebook, workspace, app, name, session_id, turns, started_at, last_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
            last_at = excluded.last_at, turns = excluded.turns""",
            (
                self._notebook,
                self._workspace,
                kept.app,
                kept.name,
                kept.session_id,
                kept.turns,
                kept.started_at,
                kept.last_at,
            ),
        )

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        """Run a statement on the store; what goes wrong there is a warning, once."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            with contextlib.closing(database):
                database.execute(_SCHEMA)
                self._path.chmod(0o600)
                return database.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            if not self._warned:
                warnings.warn(
                    f"Conversations are not kept for later: {self._path} cannot be used ({error}).",
                    stacklevel=5,
                )
                self._warned = True
        return []
