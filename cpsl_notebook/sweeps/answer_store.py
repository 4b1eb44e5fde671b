"""The store of a sweep: a SQLite file that records each row before it is sent and after it is answered.

One thread writes. It commits all queued operations in one transaction, so that a slow disk delays
rows but does not limit the throughput. Several processes may use one file at the same time.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpsl_notebook.errors import UsageError, UserError, shown
from cpsl_notebook.processes import is_running, this_start_time
from cpsl_notebook.sweeps.outcomes import (
    ANSWERED,
    FAILED,
    RATE_LIMITED,
    REFUSED,
    UNKNOWN,
    Outcome,
)
from cpsl_notebook.write_ahead_log import use_wal

__all__ = ["AnswerStore", "Claim", "Turn", "store_path", "stored_outcomes"]

BUSY_TIMEOUT = 60.0  # seconds to wait for another process that writes to the same store
_GATHER = 0.003  # seconds in which more operations join a transaction, as each one costs CPU time
_GROUP = 1_000  # operations in one transaction at most
_APPLICATION_ID = 0x43505357  # marks a SQLite file as the store of a sweep
_VERSION = 1
_SENT = "sent"
# Restores the state that a row had before it was sent again.
_EARLIER = "state = coalesce(json_extract(outcome, '$.kind'), 'refused')"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, state TEXT NOT NULL, run TEXT NOT NULL, app TEXT NOT NULL,
    prompt TEXT NOT NULL, attempts INTEGER NOT NULL, sent_at REAL NOT NULL, outcome TEXT);
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, pid INTEGER NOT NULL, started REAL NOT NULL);
"""
_OTHER_FORMATS = {
    ".csv",
    ".tsv",
    ".json",
    ".jsonl",
    ".parquet",
    ".feather",
    ".xls",
    ".xlsx",
    ".ipynb",
}
_DIED = "This row was in flight when its process ended; it may have been sent."


@dataclass(frozen=True, slots=True)
class Turn:
    """A row in the store.

    Attributes
    ----------
    key : bytes
        Its identity in the store.
    app : str
        Name or id of the app.
    prompt : str
        The text to send.
    resend : bool
        Whether to send it again even if it has an answer.
    """

    key: bytes
    app: str
    prompt: str
    resend: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of claiming consecutive turns of one conversation.

    Attributes
    ----------
    known : list of Outcome
        The outcomes of the first turns, which are not sent again.
    attempts : list of int
        The number of times that each of the following turns, which are now claimed, was sent before.
    elsewhere : bool
        Whether another running sweep has sent one of the turns. In that case nothing is claimed.
    """

    known: list[Outcome]
    attempts: list[int]
    elsewhere: bool = False


class AnswerStore:
    """The store while a sweep runs.

    Parameters
    ----------
    path : Path
        The SQLite file; it is created if it is missing, readable by its owner only.
    deliver : callable
        Called from the writing thread as ``deliver("claimed", ticket, claim)``, or
        ``deliver("store failed", None, error)`` when the store cannot be written.
    resend_unknown : bool
        Whether claims are granted for rows that may have been sent before.

    Raises
    ------
    UserError
        The file cannot be used: it is not a store, or its file system has no locks.
    """

    def __init__(
        self, path: Path, deliver: Callable[[str, Any, Any], None], *, resend_unknown: bool
    ) -> None:
        self.path = path
        self.run = uuid.uuid4().hex
        self._deliver = deliver
        self._resend_unknown = resend_unknown
        self._queue: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        _check_locks(path)
        with _usable(path):
            _create(path)
            with contextlib.closing(_connect(path)) as database:
                values = self.run, os.getpid(), this_start_time()
                database.execute("INSERT INTO runs VALUES (?, ?, ?)", values)
        self._thread = threading.Thread(target=self._write, name="capsule-sweep-store")
        self._thread.start()

    def claim(self, ticket: Any, turns: Sequence[Turn]) -> None:
        """Claim turns; the result is delivered when the claim is on disk."""
        self._queue.put(("claim", (ticket, turns)))

    def record(self, key: bytes, outcome: Outcome) -> None:
        """Record the outcome of a row."""
        self._queue.put(("record", (key, outcome)))

    def release(self, keys: Iterable[bytes]) -> None:
        """Release the claims of rows that were not sent."""
        self._queue.put(("release", list(keys)))

    def close(self) -> None:
        """Write the queued operations and end the run.

        Raises
        ------
        UserError
            The store could not be written.
        """
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise UserError(_not_written(self.path, self._error))

    def _write(self) -> None:
        try:
            with contextlib.closing(_connect(self.path)) as database:
                while self._write_group(database):
                    pass
        except Exception as error:
            self._error = error
            self._deliver("store failed", None, _not_written(self.path, error))

    def _write_group(self, database: sqlite3.Connection) -> bool:
        """Write the queued operations in one transaction; return whether more may follow."""
        waiting = [self._queue.get()]
        time.sleep(_GATHER)
        with contextlib.suppress(queue.Empty):
            while waiting[-1] is not None and len(waiting) < _GROUP:
                waiting.append(self._queue.get_nowait())
        claims: list[tuple[Any, Claim]] = []
        alive: dict[str, bool] = {}
        database.execute("BEGIN IMMEDIATE")
        for operation in waiting:
            match operation:
                case None:
                    database.execute("DELETE FROM runs WHERE id = ?", (self.run,))
                case ("claim", (ticket, turns)):
                    claims.append((ticket, self._claim(database, turns, alive)))
                case ("record", (key, outcome)):
                    _record(database, key, outcome)
                case ("release", keys):
                    database.executemany(
                        "DELETE FROM answers WHERE key = ? AND state = 'sent' AND attempts = 0 "
                        "AND outcome IS NULL",
                        [(key,) for key in keys],
                    )
                    database.executemany(
                        f"UPDATE answers SET {_EARLIER} WHERE key = ? AND state = 'sent'",  # noqa: S608
                        [(key,) for key in keys],
                    )
        database.execute("COMMIT")
        for ticket, claim in claims:
            self._deliver("claimed", ticket, claim)
        return waiting[-1] is not None

    def _claim(
        self, database: sqlite3.Connection, turns: Sequence[Turn], alive: dict[str, bool]
    ) -> Claim:
        known: list[Outcome] = []
        attempts: list[int] = []
        earlier: list[Outcome | None] = []  # kept while the row is sent again
        for turn in turns:
            state, run, sent_before, outcome = _find(database, turn.key)
            if state == _SENT and run != self.run and _is_run_running(database, run, alive):
                return Claim([], [], elsewhere=True)
            if state == _SENT:
                sent_before += 1
                state, outcome = UNKNOWN, Outcome(UNKNOWN, error=_DIED, attempts=sent_before)
            settled = state == ANSWERED and not turn.resend
            settled = settled or (state in (FAILED, UNKNOWN) and not self._resend_unknown)
            if not settled or outcome is None:
                attempts.append(sent_before)
                earlier.append(outcome if state in (ANSWERED, FAILED, UNKNOWN) else None)
                continue
            if attempts:
                break  # it already has an answer
            known.append(outcome)
            if state != ANSWERED:
                break  # later turns need the answer to this one
        for turn, before, kept in zip(turns[len(known) :], attempts, earlier, strict=False):
            outcome_json = kept.to_json() if kept is not None else None
            database.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, 'sent', ?, ?, ?, ?, ?, ?)",
                (turn.key, self.run, turn.app, turn.prompt, before, time.time(), outcome_json),
            )
        return Claim(known, attempts)


def _record(database: sqlite3.Connection, key: bytes, outcome: Outcome) -> None:
    """Write the outcome of a row.

    If a row was sent again and the service did not act on it, its earlier state is restored: the
    service may have acted on it then, and no answer may be lost.
    """
    if outcome.kind in (REFUSED, RATE_LIMITED):
        kept = database.execute(
            f"UPDATE answers SET {_EARLIER}, attempts = ? "  # noqa: S608
            "WHERE key = ? AND state = 'sent' AND outcome IS NOT NULL",
            (outcome.attempts, key),
        )
        if kept.rowcount:
            return
    database.execute(
        "UPDATE answers SET state = ?, attempts = ?, outcome = ? WHERE key = ?",
        (outcome.kind, outcome.attempts, outcome.to_json(), key),
    )


def _not_written(path: Path, error: Exception) -> str:
    """Return what failed and what to do."""
    return (
        f"The store {path} could not be written ({error}): free disk space or make the file writable, "
        "then run the same sweep again."
    )


def store_path(store: Any) -> Path:
    """Return the absolute path of a store.

    Raises
    ------
    UsageError
        It does not name a SQLite file in an existing folder.
    """
    if not isinstance(store, str | os.PathLike):
        raise UsageError(f"store must be a file name, not {shown(store)}.", label="TypeError")
    name = os.fspath(store)
    if not isinstance(name, str) or not name.strip() or name.startswith((":", "file:")):
        raise UsageError(
            f"Invalid store: {name!r}. A store is a file on disk: use a name such as 'answers.db'."
        )
    path = Path(name).expanduser().absolute()
    if path.suffix.lower() in _OTHER_FORMATS:
        raise UsageError(
            f"Invalid store: {name!r}. A store is a SQLite file, not a {path.suffix} file: use a name "
            "such as 'answers.db'."
        )
    if path.is_dir():
        raise UsageError(
            f"Invalid store: {name!r}. It is a folder: use a file in it, such as "
            f"{str(path / 'answers.db')!r}."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"Invalid store: {name!r}. The folder {path.parent} does not exist: create it first."
        )
    return path


def stored_outcomes(path: Path, keys: Iterable[bytes]) -> Iterator[Outcome | None]:
    """Return the outcomes of rows in a store, in order; ``None`` for a row that may be sent.

    A store that does not exist has no outcomes. Rows in flight are also ``None``: only a claim can
    check whether their process is still running.
    """
    if not path.exists():
        return
    with _usable(path), contextlib.closing(_connect(path)) as database:
        if not _check_content(database, path):
            return
        for key in keys:
            state, _, _, outcome = _find(database, key)
            yield outcome if state in (ANSWERED, FAILED, UNKNOWN) else None


def _find(database: sqlite3.Connection, key: bytes) -> tuple[str | None, str, int, Outcome | None]:
    """Return the state, the run, the number of attempts and the outcome of a row."""
    row = database.execute(
        "SELECT state, run, attempts, outcome FROM answers WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return None, "", 0, None
    state, run, attempts, outcome = row
    return state, run, attempts, Outcome.from_json(outcome) if outcome else None


def _is_run_running(database: sqlite3.Connection, run: str, alive: dict[str, bool]) -> bool:
    """Return whether the sweep of another run is still running on this machine."""
    if run not in alive:
        row = database.execute("SELECT pid, started FROM runs WHERE id = ?", (run,)).fetchone()
        alive[run] = row is not None and is_running(*row)
    return alive[run]


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        database.execute("PRAGMA synchronous = FULL")
    except BaseException:
        database.close()
        raise
    return database


def _create(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with contextlib.closing(_connect(path)) as database:
        _check_content(database, path)
        mode = use_wal(database)
        if mode != "wal":
            raise _without_locks(path, f"SQLite uses the journal mode {mode!r} there")
        database.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute("COMMIT")


def _check_content(database: sqlite3.Connection, path: Path) -> bool:
    """Check that a file does not belong to another program; return whether it has answers."""
    database.execute("BEGIN")  # another process may be creating it
    (mark,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    database.execute("COMMIT")
    if mark != _APPLICATION_ID and (mark or tables):
        raise UserError(f"{path} is not the store of a sweep. Pass another file as store=.")
    if version > _VERSION:
        raise UserError(
            f"{path} was written by a newer cpsl-notebook. Run `pip install --upgrade cpsl-notebook`."
        )
    return bool(tables)


@contextlib.contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Raise a `UserError` for the errors of a file that cannot be used."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        problem = error
    else:
        return
    raise UserError(f"The store {path} cannot be used ({problem}). Pass another file as store=.")


def _check_locks(path: Path) -> None:
    """Check that the file system supports locks; without them, two processes corrupt a store."""
    if sys.platform == "win32":
        return  # SQLite itself cannot open files without locks there
    import fcntl

    try:
        # A separate file: closing a descriptor of the store would release SQLite's locks.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}-lock-test") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        problem = error
    else:
        return
    raise _without_locks(path, str(problem))


def _without_locks(path: Path, reason: str) -> UserError:
    return UserError(
        f"The folder of the store {path} does not support file locks ({reason}). Pass a file on a "
        "local disk as store=."
    )
