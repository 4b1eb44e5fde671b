"""Where conversations are kept for a later kernel: a SQLite file with their ids, and no word of them.

The store is a help, never a hindrance: where it cannot be used, a warning says so, once, and the
cell works all the same. It is never thrown away, not even where it is damaged.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = ["Store", "default_store"]

_SCHEMA = """CREATE TABLE IF NOT EXISTS conversations (
    session_id TEXT NOT NULL, notebook TEXT NOT NULL, workspace TEXT NOT NULL, app TEXT NOT NULL,
    name TEXT NOT NULL, started_at TEXT NOT NULL, last_at TEXT NOT NULL, turns INTEGER NOT NULL,
    kernel TEXT NOT NULL DEFAULT '', PRIMARY KEY (session_id, notebook, workspace, app))"""
_WAIT, _SHORT_WAIT = 10.0, 0.2  # seconds for another kernel to finish; once it did not, be brief
_STEP = 0.02  # seconds
_TAKEN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

Rows = list[Any]


def default_store() -> Path:
    """Return ``conversations.sqlite`` in ``CAPSULE_HOME``, or in ``~/.capsule``."""
    home = os.environ.get("CAPSULE_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".capsule") / "conversations.sqlite"


class Store:
    """Reads and writes the rows of one file, which many kernels share.

    Parameters
    ----------
    path
        The SQLite file; the first row that is written makes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # where it is now, wherever the kernel goes
        self._wait = _WAIT
        self._warned = False

    def read(self, statement: str, *values: Any) -> Rows:
        """Return the rows that a query finds; none where there is no store, or none to use."""

        def found(database: sqlite3.Connection) -> Rows:
            return database.execute(statement, values).fetchall() if _is_made(database) else []

        try:
            if self._path.exists():
                return self._patiently(found)
        except (sqlite3.Error, OSError) as error:
            self._warn(error)
        return []

    def write(self, statement: str, *values: Any) -> Rows | None:
        """Change rows and return what the statement gives; ``None`` where it could not be done."""

        def changed(database: sqlite3.Connection) -> Rows:
            database.execute("BEGIN IMMEDIATE")  # to wait for others here, not halfway
            database.execute(_SCHEMA)
            _is_made(database)
            rows = database.execute(statement, values).fetchall()
            database.execute("COMMIT")
            return rows

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            return self._patiently(changed)
        except (sqlite3.Error, OSError) as error:
            self._warn(error)
        return None

    def _patiently(self, use: Callable[[sqlite3.Connection], Rows]) -> Rows:
        """Use the database; wait for other kernels here, where an interrupt is heard at once."""
        place = f"file:{quote(str(self._path))}?mode=rw"  # makes no file
        deadline = time.monotonic() + self._wait
        while True:
            connection = sqlite3.connect(place, timeout=0, isolation_level=None, uri=True)
            with contextlib.closing(connection) as database:
                try:
                    return use(database)
                except sqlite3.OperationalError as error:
                    taken = error.sqlite_errorcode & 0xFF in _TAKEN
                    if not taken or time.monotonic() > deadline:
                        raise
            time.sleep(random.uniform(0, _STEP))  # noqa: S311 - so that all have their turn

    def _warn(self, error: Exception) -> None:
        self._wait = _SHORT_WAIT
        if self._warned:
            return
        self._warned = True
        damaged = type(error) is sqlite3.DatabaseError
        advice = ": move that file away, and a new one is made" if damaged else ""
        message = f"Conversations are not kept for later: {self._path} cannot be used ({error})"
        # Told without a place in a file: the user's line, if any, is far from here.
        warnings.warn_explicit(f"{message}{advice}.", UserWarning, "cpsl_notebook", 0)


def _is_made(database: sqlite3.Connection) -> bool:
    """Say whether there is a table; add the column that the first ones did not have."""
    columns = [row[1] for row in database.execute("PRAGMA table_info(conversations)")]
    if columns and "kernel" not in columns:
        with contextlib.suppress(sqlite3.OperationalError):  # another kernel was faster
            database.execute("ALTER TABLE conversations ADD kernel TEXT NOT NULL DEFAULT ''")
    return bool(columns)
