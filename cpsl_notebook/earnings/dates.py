"""Moments that people name: a year, a month, a day, or a time in their zone."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo

import pandas as pd

from cpsl_notebook.errors import UserError

__all__ = ["Moment", "first_day", "in_utc", "moment", "zone"]

Moment = str | dt.date | pd.Period | pd.Timestamp

_PERIOD = r"[12]\d{3}(-\d\d(-\d\d)?)?"
_TIME = r"[12]\d{3}-\d\d-\d\d[T ]\d\d(:?\d\d){0,2}([.,]\d+)?\s*(Z|[+-]\d\d(:?\d\d)?)?"


def zone(tz: str) -> zoneinfo.ZoneInfo:
    """Return a time zone by its name, such as ``"Europe/Berlin"``."""
    try:
        return zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise UserError(
            f"There is no time zone {tz!r}: name one such as 'Europe/Berlin'."
        ) from None


def moment(value: Moment, tz: str = "UTC") -> pd.Timestamp:
    """Return the moment up to which somebody looks back, in UTC.

    A year, a month or a day means its end: who asks how things stood in October means all of it. A
    time, and so a ``datetime`` or a ``Timestamp``, is itself; without a zone it is in *tz*.

    Raises
    ------
    UserError
        It is written in another way. ``10/11/2026`` is two days to two people.

    Examples
    --------
    >>> moment("2026-10")
    Timestamp('2026-11-01 00:00:00+0000', tz='UTC')
    >>> moment("2026-10-31", "Europe/Berlin")
    Timestamp('2026-10-31 23:00:00+0000', tz='UTC')
    >>> moment("2026-10-31 12:00")
    Timestamp('2026-10-31 12:00:00+0000', tz='UTC')
    """
    named = _named(value)
    return in_utc(_end(named) if isinstance(named, pd.Period) else named, tz)


def first_day(value: Moment, tz: str = "UTC") -> pd.Timestamp:
    """Return the first day that somebody wants to see, as the clocks of *tz* show it, at midnight.

    Raises
    ------
    UserError
        As `moment`.

    Examples
    --------
    >>> first_day("2026-10")
    Timestamp('2026-10-01 00:00:00')
    >>> first_day("2026-10-31T23:30Z", "Europe/Berlin")
    Timestamp('2026-11-01 00:00:00')
    """
    named = _named(value)
    if isinstance(named, pd.Period):
        return named.start_time
    return in_utc(named, tz).tz_convert(zone(tz)).tz_localize(None).normalize()


def _named(value: Moment) -> pd.Period | pd.Timestamp:
    """Return the period or the time that somebody named."""
    text = str(value).strip()
    try:
        if re.fullmatch(_PERIOD, text):
            return pd.Period(text)
        if isinstance(value, pd.Period):
            return value
        if re.fullmatch(_TIME, text):
            return pd.Timestamp(text)
    except (ValueError, OverflowError):
        pass
    raise UserError(
        f"{value!r} is no moment: write one such as '2026-10', '2026-10-31' or '2026-10-31 12:00'."
    )


def _end(period: pd.Period) -> pd.Timestamp:
    return (period + 1).start_time


def in_utc(time: pd.Timestamp, tz: str) -> pd.Timestamp:
    """Return a time in UTC; without a zone it is what the clocks of *tz* show.

    Of two moments that they show alike it is the later one, and of one that they skip the next.
    """
    if time.tzinfo is None:
        time = time.tz_localize(zone(tz), ambiguous=False, nonexistent="shift_forward")
    return time.tz_convert("UTC").as_unit("us")
