"""The rate limit of a sweep: requests in flight, and when the next one may start."""

from __future__ import annotations

import random

__all__ = ["LONGEST_PAUSE", "RateLimit"]

LONGEST_PAUSE = 3_600.0  # seconds; if a service requests a longer pause, the sweep ends
_FIRST_PAUSE = 0.1  # seconds, if the service does not specify a delay
_LONGEST_OWN_PAUSE = 30.0  # seconds, if the service does not specify a delay
_RECOVERY = 0.5  # requests in flight that each answer adds after the number was halved


class RateLimit:
    """The pace of a sweep: halved at a rate limit, then increased with each answer.

    Parameters
    ----------
    max_active : int
        The largest number of tasks in flight.
    rpm : float, optional
        The largest number of requests per minute, which are spread evenly.

    Attributes
    ----------
    next_start : float
        When the next request may start, on the clock of `time.monotonic`.
    is_free : bool
        Whether requests may start at any time: there is no *rpm*, and no 429 so far.

    Examples
    --------
    >>> pace = RateLimit(max_active=8)
    >>> pace.limited(sent_at=0.0, now=1.0, retry_after=30.0)
    >>> pace.active, pace.next_start
    (4, 31.0)
    """

    def __init__(self, max_active: int, rpm: float | None = None) -> None:
        self.next_start = 0.0
        self.is_free = not rpm
        self._max_active = max_active
        self._interval = 60.0 / rpm if rpm else 0.0
        self._active = float(max_active)
        self._slowed_at = -1.0
        self._in_a_row = 0

    @property
    def active(self) -> int:
        """The number of tasks that may be in flight now."""
        return int(self._active)

    def started(self, requests: int, now: float) -> None:
        """Count requests that start now."""
        if self._interval:
            self.next_start = max(self.next_start, now) + requests * self._interval

    def answered(self) -> None:
        """Count a request that was not limited."""
        self._in_a_row = 0
        self._active = min(self._max_active, self._active + _RECOVERY)

    def limited(self, sent_at: float, now: float, retry_after: float | None) -> None:
        """Slow down after a 429.

        Parameters
        ----------
        sent_at : float
            When the request was sent. All requests sent before the sweep slowed down count as one.
        now : float
            The time on the same clock.
        retry_after : float or None
            Seconds to wait that the service requested; ``None`` if it did not request any.
        """
        self.is_free = False
        if sent_at >= self._slowed_at:
            self._slowed_at = now
            self._active = max(1.0, self._active / 2)
            self._in_a_row += 1
        if retry_after is None:
            longest = min(_LONGEST_OWN_PAUSE, _FIRST_PAUSE * 2 ** min(self._in_a_row - 1, 20))
            retry_after = random.uniform(longest / 2, longest)  # noqa: S311 - jitter
        self.next_start = max(self.next_start, now + retry_after)
