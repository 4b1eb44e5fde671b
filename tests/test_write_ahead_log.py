"""Switching a SQLite file to write-ahead logging."""

import contextlib
import sqlite3
import threading

import pytest

from cpsl_notebook.write_ahead_log import use_wal


def test_switch_waits_while_another_process_has_locked_the_file(tmp_path):
    path = tmp_path / "rows.sqlite"
    with (
        contextlib.closing(sqlite3.connect(path, check_same_thread=False)) as other,
        contextlib.closing(sqlite3.connect(path, timeout=0)) as ours,
    ):
        other.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(0.3, other.commit)
        timer.start()
        assert use_wal(ours) == "wal"
        timer.join()


def test_file_that_is_not_a_database_is_an_error_at_once(tmp_path):
    path = tmp_path / "rows.sqlite"
    path.write_bytes(b"not a database" * 1000)
    with (
        contextlib.closing(sqlite3.connect(path)) as ours,
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
    ):
        use_wal(ours)
