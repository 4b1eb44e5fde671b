"""The SQLite file that keeps conversations for later kernels: session ids, no prompts or replies.

The file is optional. If it cannot be used, a warning is shown once and cells work without it. It is
never deleted, even if it is damaged.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sqlite3
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cpsl_notebook.paths import capsule_home

__all__ = ["Store", "default_path", "is_valid"]

_SCHEMA = """CREATE TABLE IF NOT EXISTS conversations (
    session_id TEXT NOT NULL, notebook TEXT NOT NULL, workspace TEXT NOT NULL, app TEXT NOT NULL,
    name TEXT NOT NULL, started_at TEXT NOT NULL, last_at TEXT NOT NULL, turns INTEGER NOT NULL,
    kernel TEXT NOT NULL, PRIMARY KEY (session_id, notebook, workspace, app))"""
_INDEX = "CREATE INDEX IF NOT EXISTS by_notebook ON conversations (notebook, last_at)"
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'conversations'"
_LOCK_TIMEOUT = 10.0  # seconds to wait for another kernel
_LOCK_TIMEOUT_AFTER_FAILURE = 0.2  # seconds; an unusable file must not delay every cell
_MAX_RETRY_DELAY = 0.02  # seconds
_MAX_TURNS = 1 << 53  # a larger number is invalid, and might not fit into SQLite's integers
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

Rows = list[Any]


def default_path() -> Path:
    """Return the path of ``conversations.sqlite`` in the folder of the user's Capsule files."""
    return capsule_home() / "conversations.sqlite"


def is_valid(row: tuple[Any, ...]) -> bool:
    """Return whether the values of a row have the types that `Store` writes.

    Parameters
    ----------
    row : tuple
        The columns ``app, name, session_id, turns, started_at, last_at, kernel, notebook,
        workspace``.
    """
    turns, started_at, last_at = row[3], row[4], row[5]
    texts = (*row[:3], *row[4:])
    if not all(isinstance(text, str) for text in texts) or type(turns) is not int:
        return False
    return 0 <= turns <= _MAX_TURNS and all(map(_is_time, filter(None, (started_at, last_at))))


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _TIME.fullmatch(text) is not None


def _storable(values: tuple[Any, ...]) -> list[Any]:
    """Escape surrogates in values, which represent bytes of a path that is not UTF-8."""
    return [
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for value in values
    ]


class Store:
    """The rows of one SQLite file, which many kernels share.

    Parameters
    ----------
    path : pathlib.Path
        The file; the first write creates it.

    Attributes
    ----------
    problem : str
        Why the file could not be used the last time, and what to do; empty if it could always be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # stays the same when the kernel changes its directory
        self._lock_timeout = _LOCK_TIMEOUT
        self._has_warned = False
        self.problem = ""

    def read(self, statement: str, *values: Any) -> Rows:
        """Return the rows of a query; no rows if the file does not exist or cannot be used."""

        def query(database: sqlite3.Connection) -> Rows:
            if not database.execute(_HAS_TABLE).fetchone():
                return []
            return database.execute(statement, _storable(values)).fetchall()

        try:
            if self._path.exists():
                return self._with_retries(query)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._warn(error)
        return []

    def write(self, statement: str, *values: Any) -> Rows | None:
        """Execute a statement and return its rows; ``None`` if the file cannot be written."""

        def execute(database: sqlite3.Connection) -> Rows:
            database.execute("BEGIN IMMEDIATE")  # wait for other kernels before changing anything
            database.execute(_SCHEMA)
            database.execute(_INDEX)
            rows = database.execute(statement, _storable(values)).fetchall()
            database.execute("COMMIT")
            return rows

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            return self._with_retries(execute)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._warn(error)
        return None

    def _with_retries(self, use: Callable[[sqlite3.Connection], Rows]) -> Rows:
        """Use the database, and retry while another kernel has locked it.

        SQLite can wait by itself, but an interrupt would not end that wait.
        """
        uri = f"file:{quote(os.fsencode(self._path))}?mode=rw"  # does not create the file
        deadline = time.monotonic() + self._lock_timeout
        while True:
            connection = sqlite3.connect(uri, timeout=0, isolation_level=None, uri=True)
            connection.text_factory = lambda value: value.decode("utf-8", "replace")
            with contextlib.closing(connection) as database:
                try:
                    return use(database)
                except sqlite3.OperationalError as error:
                    is_locked = getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED
                    if not is_locked or time.monotonic() > deadline:
                        raise
            # A random delay, so that kernels do not keep retrying at the same time.
            time.sleep(random.uniform(0, _MAX_RETRY_DELAY))  # noqa: S311

    def _warn(self, error: Exception) -> None:
        self._lock_timeout = _LOCK_TIMEOUT_AFTER_FAILURE
        reason = getattr(error, "strerror", None) or error
        advice = "Make it writable, or set CAPSULE_HOME to another folder and restart the kernel."
        if type(error) is sqlite3.DatabaseError:
            advice = "Remove or rename the file; a new one is created."
        self.problem = f"cannot use {self._path} ({reason}). {advice}"
        if self._has_warned:
            return
        self._has_warned = True
        message = f"Conversations are not saved for later kernels: {self.problem}"
        # Without a source line, which would be from this module instead of the user's code.
        warnings.warn_explicit(message, UserWarning, "cpsl_notebook", 0)
