"""The smoke test of a deployed app: two turns in one conversation, and what must hold for them."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from cpsl.client import Client
from cpsl.errors import (
    AuthenticationError,
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    TimedOutError,
    TLSError,
)
from cpsl.retry import without_frames

__all__ = ["PROMPT", "THEN", "Check", "Report", "Turn", "smoke", "was_asked"]

PROMPT = "In one sentence, what can you help me with?"
THEN = "Now say that again in ten words or fewer."
MAX_SECONDS = 120.0

_REFUSED = (
    AuthenticationError,
    CredentialsError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    TLSError,
)


def was_asked(error: CapsuleError) -> bool:
    """Say whether the app may have got the question; if not, an error says nothing about it."""
    if isinstance(error, CannotConnectError | TimedOutError):
        return error.sent
    return not isinstance(error, _REFUSED)


@dataclass(frozen=True)
class Turn:
    """One question and what became of it.

    Attributes
    ----------
    prompt, text
        The question and the answer, as far as it arrived.
    session_id, request_id
        The ids that the service gave; empty where it gave none.
    first_chunk
        Seconds until the first text arrived; ``None`` where none did.
    last_chunk
        Seconds until the answer ended.
    error
        What broke it off; empty where nothing did.
    """

    prompt: str
    text: str
    session_id: str
    request_id: str
    first_chunk: float | None
    last_chunk: float
    error: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that must hold, and what was found."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """What a smoke test found.

    Attributes
    ----------
    app
        The app that was asked.
    turns
        What was asked, one or two turns.
    checks
        What was checked.
    not_asked
        Why the second question could not be asked, though the first was answered; else ``None``.
        The checks are then of the first answer alone.
    """

    app: str
    turns: tuple[Turn, ...]
    checks: tuple[Check, ...]
    not_asked: CapsuleError | None = None

    @property
    def ok(self) -> bool:
        """Whether both questions were asked, and every check holds."""
        return self.not_asked is None and all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        report: dict[str, Any] = {"ok": self.ok, "app": self.app}
        report |= {name: list(map(asdict, getattr(self, name))) for name in ("turns", "checks")}
        return report if self.not_asked is None else report | {"error": str(self.not_asked)}


def smoke(
    client: Client,
    app: str,
    prompt: str = PROMPT,
    then: str = THEN,
    *,
    max_seconds: float = MAX_SECONDS,
    expect: re.Pattern[str] | None = None,
) -> Report:
    """Ask an app twice in one conversation, and check the answers.

    Parameters
    ----------
    client
        The client to ask with.
    app
        Name or id of the app.
    prompt, then
        The two questions. The second is not asked where the first gave no session to continue.
    max_seconds
        Seconds that each answer may take; one that takes longer is cut off.
    expect
        What must be found in one of the answers.

    Returns
    -------
    Report
        What was found, whether it is as it should be or not.

    Raises
    ------
    CapsuleError
        The app could not be asked even once.

    Examples
    --------
    ::

        report = smoke(cpsl.Client(), "support-ops", max_seconds=30)
        assert report.ok, report.checks
    """
    client.get_app(app, timeout=max_seconds)  # a failure of it says nothing about the answers
    turns = [_ask(client, app, prompt, None, max_seconds)]
    not_asked: CapsuleError | None = None
    if turns[0].session_id and not turns[0].error:
        try:
            turns.append(_ask(client, app, then, turns[0].session_id, max_seconds))
        except CapsuleError as caught:
            not_asked = without_frames(caught)
    checks = [
        *(_answered(*numbered) for numbered in zip(("first", "second"), turns, strict=False)),
        _same_session(turns),
        _in_time(turns, max_seconds),
        *([] if expect is None else [_expected(turns, expect)]),
    ]
    if not_asked is not None:  # whether these hold, the second answer would have told
        told = ("same session", "expected text")
        checks = [check for check in checks if check.ok or check.name not in told]
    return Report(app, tuple(turns), tuple(checks), not_asked)


def _ask(client: Client, app: str, prompt: str, session_id: str | None, max_seconds: float) -> Turn:
    """Ask once; raise where the app did not get the question."""
    began = time.perf_counter()
    first: float | None = None
    failed: CapsuleError | None = None
    with client.stream(app, prompt, session_id, timeout=max_seconds) as stream:
        # An app that never falls silent would otherwise never end.
        overdue = threading.Timer(max_seconds, stream.close)
        overdue.daemon = True
        overdue.start()
        try:
            for chunk in stream:
                if first is None and chunk.text:
                    first = time.perf_counter() - began
        except CapsuleError as caught:
            failed = caught
        finally:
            overdue.cancel()
    last = time.perf_counter() - began
    told = failed or stream.unraised
    if told is not None and not was_asked(told):
        raise told
    error = str(failed or "")
    if last >= max_seconds and not stream.complete:
        error = error or f"cut off after {len(stream.text):,} characters"
    return Turn(prompt, stream.text, stream.session_id, stream.request_id, first, last, error)


def _answered(which: str, turn: Turn) -> Check:
    if turn.error:
        detail = turn.error
    elif not turn.text.strip():
        detail = f"empty, after {turn.last_chunk:.2f} s"
    else:
        detail = (
            f"{len(turn.text):,} characters, the first after {turn.first_chunk:.2f} s, "
            f"the last after {turn.last_chunk:.2f} s"
        )
    return Check(f"{which} answer", bool(turn.text.strip()) and not turn.error, detail)


def _same_session(turns: list[Turn]) -> Check:
    ids = [turn.session_id for turn in turns]
    if not ids[0]:
        detail = "the first answer came without a session id"
    elif len(ids) < 2:
        detail = "the second question was not asked"
    elif ids[0] != ids[1]:
        detail = f"{ids[0]} was answered in {ids[1] or 'none'}"
    else:
        return Check("same session", ok=True, detail=ids[0])
    return Check("same session", ok=False, detail=detail)


def _in_time(turns: list[Turn], max_seconds: float) -> Check:
    slowest = max(turn.last_chunk for turn in turns)
    if slowest < max_seconds:
        return Check("in time", ok=True, detail=f"{slowest:.2f} s of {max_seconds:g} s")
    return Check("in time", ok=False, detail=f"an answer was not done after {max_seconds:g} s")


def _expected(turns: list[Turn], expect: re.Pattern[str]) -> Check:
    found = next(filter(None, (expect.search(turn.text) for turn in turns)), None)
    detail = f"{expect.pattern!r} is in no answer" if found is None else f"found {found[0]!r}"
    return Check("expected text", ok=found is not None, detail=detail)
