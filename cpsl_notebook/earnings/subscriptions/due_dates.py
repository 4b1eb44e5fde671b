"""Due dates of subscriptions, in days since January 1970."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

__all__ = ["EARLY_DAYS", "NEVER", "due_date", "due_dates", "month_ends"]

EARLY_DAYS = 7
"""Days before its due date from which a payment counts as a renewal."""

NEVER = 2**40
"""A day that no date reaches, in days since 1970."""


def month_ends(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the last day of each month, in days since 1970."""
    return _first_days(months + 1) - 1


def due_dates(months: npt.NDArray[np.int64], days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a day of each month, or the month's last day if it is shorter, in days since 1970.

    Examples
    --------
    >>> february = np.array([30 * 12 + 1])
    >>> due_dates(february, np.array([31])).astype("datetime64[D]")
    array(['2000-02-29'], dtype='datetime64[D]')
    """
    dates: npt.NDArray[np.int64] = np.minimum(_first_days(months) + days - 1, month_ends(months))
    return dates


@functools.cache
def due_date(month: int, day: int) -> int:
    """Return `due_dates` of one month, much faster than with arrays."""
    return int(due_dates(np.array([month]), np.array([day]))[0])


def _first_days(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first day of each month; each distinct month is converted once."""
    first = months.min(initial=0)
    every = np.arange(first, months.max(initial=0) + 1).astype("datetime64[M]")
    days: npt.NDArray[np.int64] = every.astype("datetime64[D]").astype(np.int64)[months - first]
    return days
