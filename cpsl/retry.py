"""Retries: which failures are temporary, how long to wait, and what must not be sent twice."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cpsl.call import Call
from cpsl.errors import CannotConnectError, CapsuleError, TimedOutError

__all__ = ["MAX_RETRY_AFTER", "Failure", "with_retries"]

T = TypeVar("T")

_log = logging.getLogger("cpsl")
_log.addHandler(logging.NullHandler())

MAX_RETRY_AFTER = 60.0  # seconds; for a longer wait, the error is raised
_FIRST_DELAY = 0.5  # seconds
_TEMPORARY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Failure:
    """A failed attempt.

    Attributes
    ----------
    error : CapsuleError
        The error to raise if there is no further attempt.
    may_have_acted : bool
        Whether the service may have acted on the request anyway.
    retry_after : float or None
        Seconds that the service asked to wait.
    """

    error: CapsuleError
    may_have_acted: bool = True
    retry_after: float | None = None

    @property
    def temporary(self) -> bool:
        """Whether another attempt may succeed."""
        # Not after a read timeout: the caller has already waited for the time that they allow.
        not_connected = isinstance(self.error, TimedOutError) and not self.may_have_acted
        # Not after a 407: the proxy requires a password.
        broken = isinstance(self.error, CannotConnectError) and self.error.status != 407
        return self.error.status in _TEMPORARY or broken or not_connected


def with_retries(attempt: Callable[[], T | Failure], max_retries: int, call: Call) -> T:
    """Make attempts until one succeeds or no further attempt is allowed.

    Parameters
    ----------
    attempt : callable
        Makes one attempt. It returns a `Failure` instead of raising, so that the error is raised
        here: outside any ``except`` block and without frames that hold the token.
    max_retries : int
        The number of attempts after the first.
    call : Call
        The call that the attempts belong to.

    Returns
    -------
    object
        What the successful attempt returned.

    Raises
    ------
    CapsuleError
        The error of the last attempt.
    """
    for retries in itertools.count():
        outcome = attempt()
        if not isinstance(outcome, Failure):
            return outcome
        error = outcome.error
        allowed = retries < max_retries and (call.repeatable or not outcome.may_have_acted)
        delay = _delay(outcome, retries) if allowed else None
        if delay is None or delay >= call.seconds_left:
            break
        _log.info("retry %d of %d in %.2f s: %s", retries + 1, max_retries, delay, outcome.error)
        if call.wait(delay):
            break
    try:
        raise error
    finally:
        del error, outcome  # cycles with this frame would keep the connections open


def _delay(failure: Failure, retries: int) -> float | None:
    """Return the seconds to wait before the next attempt; ``None`` for no further attempt."""
    if not failure.temporary:
        return None
    if failure.retry_after is not None:
        return failure.retry_after if failure.retry_after <= MAX_RETRY_AFTER else None
    return random.uniform(0, _FIRST_DELAY * 2**retries)  # noqa: S311 - full jitter
