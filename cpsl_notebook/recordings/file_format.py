"""The file of a recording: JSON Lines, a header and then one line per call."""

from __future__ import annotations

import json
import os
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from cpsl_notebook.errors import UsageError, UserError
from cpsl_notebook.files import lock, unlock
from cpsl_notebook.recordings.calls import METHODS, Call
from cpsl_notebook.reproducible import shown_path

__all__ = ["VERSION", "Entry", "RecordingFile", "answered_session", "timestamp"]

VERSION = 1
"""The newest version of the format that this package reads, and the one that it writes."""

_MARK = "capsule_recording"  # the key of the version, in the header
# Line breaks to Unicode-aware tools, and lone surrogates, which UTF-8 cannot encode.
_ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def timestamp(time: datetime) -> str:
    """Return a time as it is written to a recording: ISO 8601 in UTC, with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Entry:
    """One recorded call.

    Attributes
    ----------
    call : Call
        The request.
    at : datetime.datetime
        When it was made.
    read_at : datetime.datetime or None
        For payments and earnings, the time that the client considered to be now.
    session_id : str
        The session id in the service's answer; empty if there is none.
    caller : str
        The name of the caller; empty if it is unknown.
    line : bytes
        The line of the file; `fields` decodes it, so that every answer is a new object.
    """

    call: Call
    at: datetime
    read_at: datetime | None
    session_id: str
    caller: str
    line: bytes

    def fields(self) -> dict[str, Any]:
        """Return the fields of the line."""
        fields: dict[str, Any] = json.loads(self.line)
        return fields


class RecordingFile:
    """A file of recorded calls; safe to share between threads.

    Parameters
    ----------
    path : str or Path
        The file, ``.jsonl`` by convention.

    Attributes
    ----------
    path : pathlib.Path
        Its absolute path.
    appended : int
        Number of calls that this object has written.

    Raises
    ------
    UsageError
        If *path* is not a path, or is empty.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _absolute(path)
        self._locked: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._warned = False
        self.appended = 0

    @property
    def shown(self) -> str:
        """The path as outputs and errors show it; see `shown_path`."""
        return shown_path(self.path)

    def create(self, **header: Any) -> None:
        """Write the header to a new file; an earlier recording is replaced.

        The file is locked until `release`, so that no other kernel records or adds to it. Where files
        cannot be locked, as on Windows, another kernel can.

        Raises
        ------
        UserError
            The file exists and is not a recording, another kernel records or adds to it, or it
            cannot be written.
        """
        try:
            self._locked = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            try:
                if lock(self._locked) is False:
                    raise UserError(
                        f"Another kernel is recording to {self.shown}, or a replay adds what is "
                        "missing to it. Stop that, or choose another file."
                    )
                if os.fstat(self._locked.fileno()).st_size:
                    self.header()
                # Truncated only now: if the disk is full, an earlier recording is not lost.
                self._locked.write(_encoded({_MARK: VERSION, **header}))
                self._locked.flush()
                self._locked.truncate()
            except BaseException:
                self.release()
                raise
        except OSError as error:
            raise UserError(
                f"Cannot write {self.shown} ({error.strerror}). Choose another file."
            ) from None

    def share(self) -> None:
        """Lock the file until `release`, so that no kernel replaces it while calls are added.

        Raises
        ------
        UserError
            Another kernel records to the file, or it cannot be read.
        """
        try:
            self._locked = self.path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from None
        if lock(self._locked, shared=True) is False:
            self.release()
            raise UserError(
                f"Another kernel is recording to {self.shown}. Stop that recording, or choose another "
                "file."
            )

    def release(self) -> None:
        """Release the lock of `create` or `share`."""
        if self._locked is not None:
            unlock(self._locked)  # a forked process may still have the file open
            self._locked.close()
            self._locked = None

    def append(self, fields: dict[str, Any]) -> Entry | None:
        """Add a call; if it cannot be written, warn once and return ``None``."""
        line = _encoded(fields)
        with self._lock:
            try:
                _append(self.path, line)
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    warnings.warn_explicit(
                        f"Cannot write {self.shown} ({error.strerror}). The recording is "
                        "incomplete.",
                        *(UserWarning, "cpsl_notebook", 0),
                    )
                return None
            self.appended += 1
        return _entry(fields, line)

    def header(self) -> dict[str, Any]:
        """Return the header.

        Raises
        ------
        UserError
            The file cannot be read, is not a recording, or has a newer format.
        """
        return next(self._lines())[0]

    def entries(self) -> list[Entry]:
        """Return the recorded calls, in the order in which they were made.

        Raises
        ------
        UserError
            The file cannot be read, is not a recording, or has a newer format.
        """
        lines = self._lines()
        next(lines)
        found = []
        for number, (fields, line) in enumerate(lines, start=2):
            try:
                found.append((fields.get("call", number), _entry(fields, line)))
            except (KeyError, TypeError, ValueError):
                raise self._damaged(number) from None
        return [entry for _, entry in sorted(found, key=lambda item: item[0])]

    def _lines(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError as error:
            raise self._unreadable(error) from None
        for number, line in enumerate(lines or [b""], start=1):
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                fields = None
            if number == 1:
                self._check(fields)
            elif not isinstance(fields, dict):
                raise self._damaged(number)
            yield fields, line

    def _check(self, header: Any) -> None:
        version = header.get(_MARK) if isinstance(header, dict) else None
        if not isinstance(version, int) or not isinstance(header.get("recorded_at"), str):
            raise UserError(
                f"{self.shown} is not a recording: its first line is not a header. Choose another "
                "file."
            )
        if version > VERSION:
            raise UserError(
                f"{self.shown} has recording format {version}, and this cpsl-notebook reads up to "
                f"{VERSION}. Run `pip install --upgrade cpsl-notebook`."
            )

    def _unreadable(self, error: OSError) -> UserError:
        return UserError(
            f"Cannot read the recording {self.shown} ({error.strerror}). Check the path, or record one "
            "with `%capsule record FILE`."
        )

    def _damaged(self, number: int) -> UserError:
        return UserError(
            f"Line {number} of {self.shown} is not a recorded call. Fix or remove the line."
        )


def _absolute(path: Any) -> Path:
    try:
        name = os.fspath(path)
        if name and isinstance(name, str) and "\0" not in name:
            return Path(name).expanduser().absolute()
    except (TypeError, RuntimeError):  # no path; no such user in "~user"
        pass
    raise UsageError(f'file must be a path, such as "answers.jsonl", not {path!r}.')


def _entry(fields: dict[str, Any], line: bytes) -> Entry:
    if fields["method"] not in METHODS:
        raise ValueError(fields["method"])
    read_at = fields.get("read_at")
    return Entry(
        Call.from_fields(fields),
        datetime.fromisoformat(fields["at"]),
        datetime.fromisoformat(read_at) if read_at else None,
        answered_session(fields),
        str(fields.get("caller", "")),
        line,
    )


def answered_session(fields: dict[str, Any]) -> str:
    """Return the session id in the answer or the chunks of a call; empty if there is none."""
    data = [fields.get("answer"), *(chunk["data"] for chunk in fields.get("chunks", []))]
    found = (str(d["session_id"]) for d in data if isinstance(d, dict) and d.get("session_id"))
    return next(found, "")


def _append(path: Path, line: bytes) -> None:
    """Append a line, or nothing at all if the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _encoded(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"
