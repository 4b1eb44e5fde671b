"""Switching a SQLite file, which several processes may open at once, to write-ahead logging."""

from __future__ import annotations

import sqlite3
import time

__all__ = ["use_wal"]

_TIMEOUT = 10.0  # seconds to wait for other processes that open the file


def use_wal(connection: sqlite3.Connection) -> str:
    """Switch to write-ahead logging, and wait while another process does: SQLite itself does not.

    Returns
    -------
    str
        The journal mode of the file, which is not ``"wal"`` if its file system does not allow that.

    Raises
    ------
    sqlite3.Error
        The file cannot be used.

    Examples
    --------
    >>> use_wal(sqlite3.connect(":memory:"))
    'memory'
    """
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return str(mode)
        except sqlite3.OperationalError as error:
            is_locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_locked or time.monotonic() > deadline:
                raise
        time.sleep(0.02)
