"""The local workspace's conversations and checkouts, in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from cpsl_notebook.local.ids import Ids
from cpsl_notebook.local.session import Session, Turn
from cpsl_notebook.write_ahead_log import use_wal

__all__ = ["Database"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS workspace (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, app_id TEXT NOT NULL, data TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS turns (
    session_id TEXT NOT NULL, position INTEGER NOT NULL, prompt TEXT NOT NULL, reply TEXT NOT NULL,
    PRIMARY KEY (session_id, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending_checkouts (
    id TEXT PRIMARY KEY, app_id TEXT NOT NULL, return_url TEXT NOT NULL);
"""
_NEXT_POSITION = "SELECT coalesce(max(position) + 1, 0) FROM turns WHERE session_id = ?"


class Database:
    """Reads and writes the workspace's rows; threads and processes may share the file.

    Every method raises `sqlite3.Error` if the file cannot be read or written.

    Parameters
    ----------
    path : pathlib.Path
        The SQLite file. It is created if it does not exist.
    ids : Ids
        What creates ids.

    Attributes
    ----------
    workspace_id : str
        The workspace's id.
    """

    def __init__(self, path: Path, ids: Ids) -> None:
        self.ids = ids
        self._path = path
        path.touch(mode=0o600)
        with self._connection() as connection:
            use_wal(connection)
            with _transaction(connection):  # two processes may start at once
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                row = connection.execute("SELECT id FROM workspace").fetchone()
                self.workspace_id = row[0] if row else self._new_workspace_id(connection)
        # Closing the last connection of a file syncs the disk, which takes up to 10 ms.
        self._kept_open = sqlite3.connect(path, check_same_thread=False)
        self._kept_open.execute("SELECT id FROM workspace").fetchone()  # opens the file

    def close(self) -> None:
        """Write the write-ahead log to the database file; a later call opens the file again."""
        self._kept_open.close()

    def reset(self) -> None:
        """Delete all rows; the workspace gets a new id."""
        with self._connection() as connection, _transaction(connection):
            for table in ("workspace", "conversations", "turns", "pending_checkouts"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
            self.workspace_id = self._new_workspace_id(connection)

    def session(self, app_id: str, text: str, session_id: str | None) -> Session:
        """Return a conversation; start one with a message if the app has none with this id."""
        query = "SELECT data FROM conversations WHERE id = ? AND app_id = ?"
        if session_id and (found := self.row(query, session_id, app_id)):
            return Session(session_id, _History(self, session_id), json.loads(found[0]))
        session = Session(str(self.ids.new("conversation", app_id, text)))
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO conversations (id, app_id) VALUES (?, ?)", (session.id, app_id)
            )
        return session

    def add_turn(self, session_id: str, prompt: str, reply: str, data: str | None) -> None:
        """Store a turn and, if it is not ``None``, the JSON of ``session.data``.

        Does nothing if the conversation has been deleted.
        """
        with self._connection() as connection, _transaction(connection):
            stored = connection.execute(
                "UPDATE conversations SET data = coalesce(?, data) WHERE id = ?", (data, session_id)
            )
            if stored.rowcount:
                connection.execute(
                    f"INSERT INTO turns VALUES (?, ({_NEXT_POSITION}), ?, ?)",  # noqa: S608
                    (session_id, session_id, prompt, reply),
                )

    def add_checkout(self, app_id: str, return_url: str) -> str:
        """Store a checkout and return its id."""
        checkout_id = self.ids.new("checkout", app_id, return_url).hex
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO pending_checkouts VALUES (?, ?, ?)", (checkout_id, app_id, return_url)
            )
        return checkout_id

    def checkout(self, checkout_id: str) -> tuple[str, str] | None:
        """Return a checkout's app id and return URL, or ``None`` if the id is unknown."""
        query = "SELECT app_id, return_url FROM pending_checkouts WHERE id = ?"
        found: tuple[str, str] | None = self.row(query, checkout_id)
        return found

    def row(self, query: str, *values: Any) -> Any:
        """Return the first row of a query, or ``None``."""
        return next(iter(self.rows(query, *values)), None)

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query."""
        with self._connection() as connection:
            return connection.execute(query, values).fetchall()

    def _new_workspace_id(self, connection: sqlite3.Connection) -> str:
        workspace_id = self.ids.new("workspace").hex[:16]
        connection.execute("INSERT INTO workspace VALUES (?)", (workspace_id,))
        return workspace_id

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA synchronous = NORMAL")  # safe with a WAL, and much faster
        try:
            yield connection
        finally:
            connection.close()


class _History(Sequence[Turn]):
    """The turns that a conversation had when it was looked up; they are read on access."""

    def __init__(self, database: Database, session_id: str) -> None:
        self._database = database
        self._session_id = session_id
        self._length: int = database.row(_NEXT_POSITION, session_id)[0]

    def __repr__(self) -> str:
        return repr(self[:])

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Turn]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self[:] == list(other)

    @overload
    def __getitem__(self, index: int) -> Turn: ...
    @overload
    def __getitem__(self, index: slice) -> list[Turn]: ...
    def __getitem__(self, index: int | slice) -> Turn | list[Turn]:
        positions = range(self._length)[index]
        if isinstance(positions, int):
            return self[positions : positions + 1][0]
        if not positions:
            return []
        first, last = sorted((positions[0], positions[-1]))
        rows = self._database.rows(
            "SELECT prompt, reply FROM turns WHERE session_id = ? AND position BETWEEN ? AND ? "
            "ORDER BY position",
            *(self._session_id, first, last),
        )
        turns = [Turn(*row) for row in rows[:: abs(positions.step)]]
        return turns if positions.step > 0 else turns[::-1]


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")  # closing the connection rolls back
