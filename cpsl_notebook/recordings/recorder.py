"""Recording: a client that writes what the service answers to a file."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Self

from cpsl_notebook.errors import ClientError, UserError
from cpsl_notebook.recordings.callers import current_caller
from cpsl_notebook.recordings.calls import Call, DocumentedMethods, LiveClient
from cpsl_notebook.recordings.failures import describe_error
from cpsl_notebook.recordings.file_format import timestamp
from cpsl_notebook.recordings.known_tokens import known_tokens
from cpsl_notebook.recordings.payer_masking import Mask
from cpsl_notebook.recordings.redaction import Redactor

__all__ = ["Clock", "Log", "RecordedStream", "RecordingClient"]

_OF_MONEY = ("list_payments", "get_earnings")

Clock = Callable[[], datetime]


class Log:
    """Turns calls into the lines of a recording, without secrets.

    Parameters
    ----------
    append : callable
        Receives the fields of each line.
    mask : bool or str
        Whether to replace payers with pseudonyms, or the key for that.
    secrets : iterable of str
        Texts that are replaced wherever they occur.
    first : int
        Number of the first call.
    """

    def __init__(
        self,
        append: Callable[[dict[str, Any]], object],
        *,
        mask: bool | str = False,
        secrets: Iterable[str] = (),
        first: int = 1,
    ) -> None:
        self._append = append
        self._mask = Mask(mask if isinstance(mask, str) else None) if mask else None
        self._secrets = frozenset(secrets)
        self._redactors: dict[frozenset[str], Redactor] = {}
        self._numbers = itertools.count(first)

    def header(self) -> dict[str, Any]:
        """Return the fields of the header of a new file."""
        now = timestamp(datetime.now(UTC))
        return {"recorded_at": now, "masked": self._mask is not None}

    def begin(self, call: Call, gateway: str, clock: Clock | None) -> dict[str, Any]:
        """Return the first fields of a call that begins now."""
        now = datetime.now(UTC)
        fields: dict[str, Any] = {"call": next(self._numbers), "at": timestamp(now)}
        if caller := current_caller().name:
            fields["caller"] = caller
        if call.method in _OF_MONEY:
            fields["read_at"] = timestamp(clock() if clock else now)
        return fields | {"gateway": gateway} | call.fields()

    def masked(self, call: Call, answer: Any) -> Any:
        """Return the answer that the caller receives."""
        if self._mask is None or call.method not in _OF_MONEY:
            return answer
        return self._mask.records(answer)

    def write(self, core: Any, fields: dict[str, Any]) -> None:
        """Write a call without secrets and, if asked to, without payers."""
        redactor = self._redactor(core)
        chunks = fields.get("chunks")
        if chunks:
            data = redactor.pieces([chunk["data"] for chunk in chunks])
            chunks = [chunk | {"data": d} for chunk, d in zip(chunks, data, strict=True)]
            fields = fields | {"chunks": chunks}
        fields = redactor.value(fields)
        self._append(self._mask.value(fields) if self._mask else fields)

    def _redactor(self, core: Any) -> Redactor:
        tokens = frozenset(known_tokens(core) | self._secrets)
        if tokens not in self._redactors:
            self._redactors[tokens] = Redactor(tokens)
        return self._redactors[tokens]


class RecordingClient(DocumentedMethods):
    """A client of the live service whose answers are written to a log.

    Parameters
    ----------
    log : Log
        Where to write.
    live : LiveClient
        The client to call.
    clock : callable, optional
        Function that returns what the caller considers to be now.
    """

    def __init__(self, log: Log, live: LiveClient, clock: Clock | None = None) -> None:
        self._log = log
        self._live = live
        self._clock = clock

    @property
    def gateway_url(self) -> str:
        """The address of the gateway; empty if the client does not provide it."""
        return str(getattr(self._live.core, "gateway_url", ""))

    def close(self) -> None:
        """Close the connections of the client, if it has a method for that."""
        close = getattr(self._live.core, "close", None)
        if close is not None:
            close()

    def __reduce__(self) -> Any:
        raise UserError(
            "Calls of other processes cannot be recorded. Use threads, or stop recording."
        )

    def with_options(self, **options: Any) -> RecordingClient:
        """Return a recorded client with other options, if the client has that method."""
        change = getattr(self._live.core, "with_options", None)
        if change is None:
            return self
        return RecordingClient(self._log, self._live.with_core(change(**options)), self._clock)

    def answer(self, call: Call, timeout: Any = None) -> Any:
        """Make a call and write its outcome."""
        fields = self._log.begin(call, self.gateway_url, self._clock)
        started = time.perf_counter()

        def write(**outcome: Any) -> None:
            seconds = round(time.perf_counter() - started, 3)
            self._log.write(self._live.core, fields | {"seconds": seconds} | outcome)

        try:
            answer = self._live.send(call, timeout)
        except Exception as error:
            # Other errors for users are about this notebook, not an answer of the service.
            if isinstance(error, ClientError) or not isinstance(error, UserError):
                write(error=describe_error(error))
            raise
        except KeyboardInterrupt:
            if call.method == "chat":
                write(stopped=True)
            raise
        if call.method == "stream":
            return RecordedStream(answer, write)
        answer = self._log.masked(call, answer)
        if call.method == "chat":
            names = ("text", "session_id", "request_id", "raw")
            write(answer={name: getattr(answer, name) for name in names})
        else:
            write(answer=answer)
        return answer


class RecordedStream:
    """A stream that is written when it ends, fails or is closed.

    Parameters
    ----------
    chunks : iterator
        The stream of the client. Attributes that are not documented here are its own.
    write : callable
        Writes the outcome.
    """

    def __init__(self, chunks: Any, write: Callable[..., None]) -> None:
        self._chunks = chunks
        self._iterator = iter(chunks)
        self._write: Callable[..., None] | None = write
        self._taken: list[dict[str, Any]] = []
        self._started: float | None = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_chunks"], name)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._started is None:
            self._started = time.perf_counter()
        try:
            chunk = next(self._iterator)
        except StopIteration:
            self._finish()
            raise
        except Exception as error:
            self._finish(error=describe_error(error))
            raise
        except BaseException:
            self._finish(stopped=True)
            raise
        after = round(time.perf_counter() - self._started, 3)
        self._taken.append({"after": after, "event": chunk.event, "data": chunk.data})
        if chunk.done:
            self._finish()
        return chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_write" in self.__dict__:
            self.close()

    def close(self) -> None:
        """End the stream, from any thread, and write what has arrived."""
        self._finish(stopped=True)
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()

    def _finish(self, **outcome: Any) -> None:
        with self._lock:
            write, self._write = self._write, None
        # A stream that was never started was never sent.
        if write is not None and self._started is not None:
            write(chunks=list(self._taken), **outcome)
