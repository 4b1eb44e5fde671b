"""Trying again: which failures pass, how long to wait, and when nothing may be sent twice."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cpsl.errors import CannotConnectError, CapsuleError, TimedOutError

__all__ = ["LONGEST_RETRY_AFTER", "Failure", "with_retries", "without_frames"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

LONGEST_RETRY_AFTER = 60.0  # seconds; a longer one is the caller's to wait for
_FIRST_DELAY = 0.5  # seconds
_PASSING = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Failure:
    """An attempt that failed.

    Attributes
    ----------
    error
        What to raise if it is the last attempt.
    may_have_acted
        Whether the service may have acted on the request all the same.
    retry_after
        The seconds that the service asked to wait, if it did.
    """

    error: CapsuleError
    may_have_acted: bool = True
    retry_after: float | None = None

    @property
    def passing(self) -> bool:
        """Whether another attempt may succeed."""
        # Silence after the request was sent is no such case: the caller has waited long enough.
        never_connected = isinstance(self.error, TimedOutError) and not self.may_have_acted
        broken = isinstance(self.error, CannotConnectError)
        return self.error.status in _PASSING or broken or never_connected


def with_retries(
    attempt: Callable[[], T | Failure],
    max_retries: int,
    *,
    repeatable: bool,
    wait: Callable[[float], object] = time.sleep,
) -> T:
    """Make attempts until one succeeds or it is time to give up.

    Parameters
    ----------
    attempt
        Makes one attempt; returns a `Failure` rather than raise an error, so that the error can be
        raised here: outside any ``except`` block and away from frames that hold the token.
    max_retries
        How many attempts may follow the first.
    repeatable
        Whether the request may be sent again though the service may have acted on it.
    wait
        Waits for a number of seconds; what it returns is true if nobody waits for the result now.

    Raises
    ------
    CapsuleError
        The error of the last attempt.
    """
    for tried in itertools.count():
        outcome = attempt()
        if not isinstance(outcome, Failure):
            return outcome
        allowed = tried < max_retries and (repeatable or not outcome.may_have_acted)
        delay = _delay(outcome, tried) if allowed else None
        if delay is None or wait(delay):
            raise outcome.error
    raise AssertionError("unreachable")


def _delay(failure: Failure, tried: int) -> float | None:
    """Return the seconds to wait before the next attempt; ``None`` where none would help."""
    if not failure.passing:
        return None
    if failure.retry_after is not None:
        return failure.retry_after if failure.retry_after <= LONGEST_RETRY_AFTER else None
    return random.uniform(0, _FIRST_DELAY * 2**tried)  # noqa: S311 - full jitter


def without_frames(error: E) -> E:
    """Take from an exception the frames that it passed and the exceptions that led to it.

    Frames of the libraries below hold the token in their variables, which some tools show.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
