"""The smoke test of a deployed app: two turns in one session, and checks of the replies."""

from __future__ import annotations

import re
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
    ProtocolError,
    RateLimitedError,
    TimedOutError,
    TLSError,
)
from cpsl.responses import NETWORK_LOGIN
from cpsl.timeouts import MAX_TIME_LIMIT, check_seconds
from cpsl.tracebacks import without_frames

__all__ = ["MAX_SECONDS", "PROMPT", "THEN", "Check", "Report", "Turn", "reached_app", "smoke"]

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


def reached_app(error: CapsuleError) -> bool:
    """Return whether the app may have received the question and may be the cause of the error."""
    if isinstance(error, CannotConnectError | TimedOutError):
        return error.sent
    if isinstance(error, ProtocolError):
        return error.from_gateway
    if error.status == NETWORK_LOGIN:
        return False
    return not isinstance(error, _REFUSED)


@dataclass(frozen=True)
class Turn:
    """One question and its answer.

    Attributes
    ----------
    prompt : str
        The question.
    text : str
        The answer, as far as it arrived.
    session_id, request_id : str
        The ids from the service; empty if there are none.
    first_chunk : float or None
        Seconds until the first text arrived; ``None`` if no text arrived.
    last_chunk : float
        Seconds until the answer ended.
    error : str
        The error that ended the answer; empty if there was none.
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
    """One check and its result.

    Attributes
    ----------
    name : str
        The name of the check.
    ok : bool
        Whether it passed.
    detail : str
        What was found.
    """

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """The result of a smoke test.

    Attributes
    ----------
    app : str
        Name or id of the app.
    turns : tuple of Turn
        One or two turns.
    checks : tuple of Check
        The checks.
    error : CapsuleError or None
        The error that kept the second question from reaching the app. In that case, the checks
        cover only the first answer.
    """

    app: str
    turns: tuple[Turn, ...]
    checks: tuple[Check, ...]
    error: CapsuleError | None = None

    @property
    def ok(self) -> bool:
        """Whether both questions were asked and every check passed."""
        return self.error is None and all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dict of JSON values."""
        report: dict[str, Any] = {"ok": self.ok, "app": self.app}
        report |= {name: list(map(asdict, getattr(self, name))) for name in ("turns", "checks")}
        return report if self.error is None else report | {"error": str(self.error)}


def smoke(
    client: Client,
    app: str,
    prompt: str = PROMPT,
    then: str = THEN,
    *,
    max_seconds: float = MAX_SECONDS,
    expect: re.Pattern[str] | None = None,
) -> Report:
    """Ask an app two questions in one session and check the answers.

    Parameters
    ----------
    client : Client
        The client to use.
    app : str
        Name or id of the app.
    prompt, then : str
        The two questions. The second is asked only if the first answer has a session to continue.
    max_seconds : float
        Time limit of each answer, in seconds; a longer answer is cut off.
    expect : re.Pattern, optional
        A pattern that one of the answers must contain.

    Returns
    -------
    Report
        The turns and the checks, whether they passed or not.

    Raises
    ------
    CapsuleError
        The first question did not reach the app.

    Examples
    --------
    ::

        report = smoke(cpsl.Client(), "support-ops", max_seconds=30)
        assert report.ok, report.checks
    """
    check_seconds("max_seconds", max_seconds)
    if not (expect is None or isinstance(expect, re.Pattern)):
        raise InvalidRequestError(f"Invalid expect {expect!r}: pass re.compile({expect!r}).")
    # This raises an error instead of reporting a failed check.
    client.get_app(app, **_limits(max_seconds))
    turns = [_ask(client, app, prompt, None, max_seconds)]
    error: CapsuleError | None = None
    if turns[0].session_id and not turns[0].error:
        try:
            turns.append(_ask(client, app, then, turns[0].session_id, max_seconds))
        except CapsuleError as caught:
            error = without_frames(caught)
    checks = [
        *(_answered(*numbered) for numbered in zip(("first", "second"), turns, strict=False)),
        _same_session(turns),
        _in_time(turns, max_seconds),
        *([] if expect is None else [_expected(turns, expect)]),
    ]
    if error is not None:  # these checks need the second answer
        undecided = ("same session", "expected text")
        checks = [check for check in checks if check.ok or check.name not in undecided]
    return Report(app, tuple(turns), tuple(checks), error)


def _ask(client: Client, app: str, prompt: str, session_id: str | None, max_seconds: float) -> Turn:
    """Ask one question; raise an error if it did not reach the app."""
    began = time.perf_counter()
    first: float | None = None
    failed: CapsuleError | None = None
    with client.stream(app, prompt, session_id, **_limits(max_seconds)) as stream:
        try:
            for chunk in stream:
                if first is None and chunk.text:
                    first = time.perf_counter() - began
        except CapsuleError as caught:
            failed = caught
    last = time.perf_counter() - began
    if failed is not None and not reached_app(failed):
        raise failed
    error = str(failed or "")
    return Turn(prompt, stream.text, stream.session_id, stream.request_id, first, last, error)


def _limits(max_seconds: float) -> dict[str, float]:
    # The read timeout of the client may be shorter than the limit.
    return {"timeout": min(2 * max_seconds, MAX_TIME_LIMIT), "max_seconds": max_seconds}


def _answered(which: str, turn: Turn) -> Check:
    if turn.error:
        detail = turn.error
    elif not turn.text.strip():
        detail = f"empty, after {turn.last_chunk:.2f} s"
    else:
        plural = "" if len(turn.text) == 1 else "s"
        detail = (
            f"{len(turn.text):,} character{plural}, the first after {turn.first_chunk:.2f} s, "
            f"the last after {turn.last_chunk:.2f} s"
        )
    return Check(f"{which} answer", bool(turn.text.strip()) and not turn.error, detail)


def _same_session(turns: list[Turn]) -> Check:
    ids = [turn.session_id for turn in turns]
    if not ids[0]:
        detail = "the first answer has no session id"
    elif len(ids) < 2:
        detail = "the second question was not sent"
    elif ids[0] != ids[1]:
        detail = f"the second answer is in session {ids[1] or '(none)'}, not {ids[0]}"
    else:
        return Check("same session", ok=True, detail=ids[0])
    return Check("same session", ok=False, detail=detail)


def _in_time(turns: list[Turn], max_seconds: float) -> Check:
    slowest = max(turn.last_chunk for turn in turns)
    if slowest < max_seconds:
        return Check("in time", ok=True, detail=f"{slowest:.2f} s of {max_seconds:g} s")
    return Check("in time", ok=False, detail=f"an answer took longer than {max_seconds:g} s")


def _expected(turns: list[Turn], expect: re.Pattern[str]) -> Check:
    found = next(filter(None, (expect.search(turn.text) for turn in turns)), None)
    detail = f"no answer contains {expect.pattern!r}" if found is None else f"found {found[0]!r}"
    return Check("expected text", ok=found is not None, detail=detail)
