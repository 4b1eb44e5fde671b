"""Replaying: a client that answers from a recording."""

from __future__ import annotations

import functools
import math
import numbers
import os
import secrets
import threading
import time
from datetime import datetime
from typing import Any, Literal, Self

from cpsl_notebook.cpsl_package import cpsl_class
from cpsl_notebook.errors import StoppedError, UsageError, UserError
from cpsl_notebook.recordings.calls import Call, DocumentedMethods, LiveClient
from cpsl_notebook.recordings.failures import make_error
from cpsl_notebook.recordings.file_format import RecordingFile
from cpsl_notebook.recordings.known_tokens import known_tokens
from cpsl_notebook.recordings.matching import Matcher
from cpsl_notebook.recordings.recorder import Log, RecordingClient
from cpsl_notebook.recordings.redaction import Redactor
from cpsl_notebook.recordings.verification import Verification, verify

__all__ = ["NotRecordedError", "ReplayClient", "ReplayStream", "replay"]


class NotRecordedError(UserError):
    """A recording has no answer to a request."""

    label = "NotRecordedError"


def replay(
    file: str | os.PathLike[str],
    *,
    speed: float = 0,
    missing: Literal["error", "live"] = "error",
    strict: bool = False,
    client: Any = None,
) -> ReplayClient:
    """Return a client that answers from a recording, without network and credentials.

    It has the documented methods of `cpsl.Client` and returns what was recorded: the same replies,
    chunks and records, and the same errors. It may be used on every thread.

    To replay a notebook or script without editing it, set the environment variable
    ``CAPSULE_REPLAY`` to the file: `cpsl_notebook.Client`, the magics and `ask` then answer from it,
    and `cpsl_notebook.local.start` starts no servers.

    Parameters
    ----------
    file : str or Path
        A file that `recording` wrote.
    speed : float, default 0
        How fast answers arrive: 0 for at once, 1 for as fast as they were recorded, 2 for twice as
        fast.
    missing : {"error", "live"}, default "error"
        What to do with a request that was not recorded: raise an error, which shows the nearest
        recorded request with a diff, or ask the service and add its answer to the file. If the file
        was recorded with *mask*, the answer is masked with the key of this machine. With ``"live"``,
        nobody can record to the file until the client is closed.
    strict : bool, default False
        Whether each recorded answer is given only once. By default, a request that is made again
        gets its answers again, in the same order.
    client : cpsl.Client or cpsl_notebook.Client, optional
        The client for ``missing="live"``; by default, the one to which ``%capsule local`` has connected
        the notebook, or else ``cpsl.Client()``, created when it is needed. A client that replays a
        recording is refused.

    Returns
    -------
    ReplayClient
        The client. For DataFrames, pass it to `cpsl_notebook.Client`. A reply that was stopped
        while it was recorded ends with a `cpsl_notebook.errors.StoppedError` after its last chunk.

    Raises
    ------
    UserError
        If an argument is invalid, or the file cannot be read, is not a recording, or has a newer
        format; with ``missing="live"``, also if another kernel records to it.

    See Also
    --------
    recording : Record what the service answers.

    Examples
    --------
    As a fixture of your own tests::

        @pytest.fixture
        def client():
            return cpsl_notebook.replay("tests/support-ops.jsonl")
    """
    _check_options(speed, missing, strict)
    return ReplayClient(
        file, speed, strict=strict, live=LiveClient.of(client) if missing == "live" else None
    )


class ReplayClient(DocumentedMethods):
    """A client that answers from a recording; `replay` creates it.

    Parameters
    ----------
    file : str or Path
        The file.
    speed : float
        How fast answers arrive; 0 for at once.
    strict : bool
        Whether each recorded answer is given only once.
    live : LiveClient, optional
        What answers requests that were not recorded.

    Attributes
    ----------
    file : RecordingFile
        The file.
    began : datetime.datetime
        When the recording was started, in UTC.
    before : cpsl_notebook.Client or None
        The client that a notebook had before it replayed the recording.
    gateway_url : str
        The address of the gateway that was recorded.
    scope : str
        A name for `cpsl_notebook.Client`, so that conversations of a replay are kept apart.
    """

    is_replay = True

    def __init__(
        self,
        file: str | os.PathLike[str],
        speed: float,
        *,
        strict: bool,
        live: LiveClient | None = None,
    ) -> None:
        self.file = RecordingFile(file)
        self._options: dict[str, Any] = {"speed": speed, "strict": strict}
        self._speed = speed
        header, entries = self.file.header(), self.file.entries()
        self.gateway_url = str(entries[0].fields().get("gateway", "")) if entries else ""
        self.scope = f"replay:{secrets.token_hex(8)}"
        self.began = datetime.fromisoformat(header["recorded_at"])
        self._matcher = Matcher(entries, Redactor(known_tokens()), strict=strict)
        self.before: Any = None
        self._last = threading.local()
        self._live: RecordingClient | None = None
        if live is not None:
            self.file.share()
            # Without a reference to this object, so that the file is released when it is freed.
            add = functools.partial(_add, self.file, self._matcher)
            log = Log(add, mask=header.get("masked") is True, first=len(entries) + 1)
            self._live = RecordingClient(log, live)

    def __repr__(self) -> str:
        return f"<replay of {self.file.shown}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # In another process, the copy reads the file again.
        missing = "error" if self._live is None else "live"
        return _unpickled, (str(self.file.path), self._options | {"missing": missing})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the live client, if there is one, and let other kernels record to the file."""
        self.file.release()
        if self._live is not None:
            self._live.close()

    def with_options(self, **options: Any) -> Self:
        """Return the client itself: the options of a live client do not change a replay."""
        return self

    @property
    def recorded_at(self) -> datetime | None:
        """When the last answer on this thread was recorded; ``None`` if it came from the service."""
        at: datetime | None = getattr(self._last, "at", None)
        return at

    def clock(self) -> datetime:
        """Return the time at which the next payments or earnings were read, in UTC."""
        entry = self._matcher.next_unused("list_payments", "get_earnings")
        return self.began if entry is None or entry.read_at is None else entry.read_at

    def verify(self, client: Any = None) -> Verification:
        """Ask the live service again and compare its answers with the recorded ones.

        Messages are sent to the apps again. Checkouts are not created again.

        Parameters
        ----------
        client : cpsl.Client or cpsl_notebook.Client, optional
            The client; by default, the one to which ``%capsule local`` has connected the notebook, or
            else ``cpsl.Client()``. A client that replays a recording is refused.

        Returns
        -------
        Verification
            What differs; its text is a report.
        """
        return verify(self.file, LiveClient.of(client))

    def answer(self, call: Call, timeout: Any = None) -> Any:
        """Answer a request from the recording, or from the service if that is allowed."""
        entry = self._matcher.find(call)
        self._last.at = None if entry is None else entry.at
        if entry is None:
            if self._live is not None:
                return self._live.answer(call, timeout)
            reason = self._matcher.explain(call)
            raise NotRecordedError(
                f"{call} is not recorded in {self.file.shown}. Record it again, or ask the service "
                f'with missing="live". {reason}'
            )
        fields = entry.fields()
        error = _recorded_error(fields)
        if "chunks" in fields:
            return ReplayStream(fields["chunks"], error, self._speed)
        if self._speed:
            time.sleep(float(fields.get("seconds", 0)) / self._speed)
        if error is not None:
            raise error
        answer: Any = fields.get("answer")
        return cpsl_class("ChatResponse")(**answer) if call.method == "chat" else answer


class ReplayStream:
    """A recorded stream, which can be closed at any moment and from any thread.

    Parameters
    ----------
    chunks : list of dict
        The recorded chunks.
    error : Exception or None
        The error that the stream ended with.
    speed : float
        How fast the chunks arrive; 0 for at once.

    Attributes
    ----------
    text : str
        The reply so far.
    session_id, request_id : str
        The ids so far; empty until a chunk carries them.
    complete : bool
        Whether the end of the reply has arrived.
    """

    def __init__(self, chunks: list[dict[str, Any]], error: Exception | None, speed: float) -> None:
        self.text, self.session_id, self.request_id, self.complete = "", "", "", False
        self._chunks = iter(chunks)
        self._error = error
        self._speed = speed
        self._started: float | None = None
        self._closed = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._started is None:
            self._started = time.monotonic()
        chunk = None if self._closed.is_set() else next(self._chunks, None)
        if chunk is None:
            error, self._error = self._error, None
            if error is None or self._closed.is_set():
                raise StopIteration
            raise error
        if self._speed:
            due = self._started + chunk["after"] / self._speed
            if self._closed.wait(max(0.0, due - time.monotonic())):
                raise StopIteration
        return self._take(cpsl_class("StreamChunk")(chunk["event"], chunk["data"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream at once."""
        self._closed.set()

    def _take(self, chunk: Any) -> Any:
        self.text += chunk.text
        self.session_id = str(chunk.data.get("session_id") or self.session_id)
        self.request_id = str(chunk.data.get("request_id") or self.request_id)
        self.complete = self.complete or chunk.done
        return chunk


def _add(file: RecordingFile, matcher: Matcher, fields: dict[str, Any]) -> None:
    """Write a live answer to the file, and answer from it from now on."""
    entry = file.append(fields)
    if entry is not None:
        matcher.add_used(entry)


def _check_options(speed: Any, missing: Any, strict: Any) -> None:
    if missing not in ("error", "live"):
        raise UsageError(f'missing must be "error" or "live", not {missing!r}.')
    # A bool is a number to Python.
    if (
        isinstance(speed, bool)
        or not isinstance(speed, numbers.Real)
        or not 0 <= float(speed) < math.inf
    ):
        raise UsageError(f"speed must be 0 or a positive number, not {speed!r}.")
    if not isinstance(strict, bool):
        raise UsageError(f"strict must be True or False, not {strict!r}.")


def _recorded_error(fields: dict[str, Any]) -> Exception | None:
    """Return the error that a call ended with; a reply that was stopped ended with one, too."""
    if fields.get("stopped"):
        return StoppedError("the recorded reply was stopped; the text received so far is kept.")
    return make_error(fields["error"]) if "error" in fields else None


def _unpickled(file: str, options: dict[str, Any]) -> ReplayClient:
    return replay(file, **options)
