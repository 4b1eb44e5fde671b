"""Dates and times as users write them: a year, a month, a day, or a time."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import zoneinfo

import pandas as pd

from cpsl_notebook.errors import UserError, shown

__all__ = ["Moment", "first_day", "first_moment", "in_utc", "moment", "zone"]

Moment = str | dt.date | pd.Period | pd.Timestamp
"""A year, a month or a day (``"2026"``, ``"2026-10"``, ``"2026-10-31"``), or a time."""

_PERIOD = r"[12]\d{3}(-\d\d(-\d\d)?)?"
_TIME = r"[12]\d{3}-\d\d-\d\d[T ]\d\d(:?\d\d){0,2}([.,]\d+)?\s*(Z|[+-]\d\d(:?\d\d)?)?"
_TOO_LATE = 2262  # pandas has no periods of this year


def zone(tz: str) -> zoneinfo.ZoneInfo:
    """Return a time zone by its name.

    Parameters
    ----------
    tz : str
        Name in the IANA database, such as ``"Europe/Berlin"``.

    Returns
    -------
    zoneinfo.ZoneInfo
        The zone.

    Raises
    ------
    cpsl_notebook.UserError
        If there is no such zone.
    """
    try:
        return zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise UserError(
            f"Unknown time zone: {shown(tz)}. Use a name such as 'Europe/Berlin'."
        ) from None


def moment(value: Moment, tz: str = "UTC") -> pd.Timestamp:
    """Return the end of a period, or a time as it is: the upper bound of what ``as_of`` covers.

    Parameters
    ----------
    value : str, datetime.date, pandas.Period or pandas.Timestamp
        A year, a month or a day, which means its end, so that "as of October" includes all of
        October; or a time, also as a `datetime.datetime`.
    tz : str, default "UTC"
        Zone of periods, and of times without a zone.

    Returns
    -------
    pandas.Timestamp
        First moment after the period, or the time, in UTC. A time that the zone's clocks show twice
        is the second one.

    Raises
    ------
    cpsl_notebook.UserError
        If the value has another form. ``10/11/2026`` is ambiguous.

    Examples
    --------
    >>> moment("2026-10")
    Timestamp('2026-11-01 00:00:00+0000', tz='UTC')
    >>> moment("2026-10-31", "Europe/Berlin")
    Timestamp('2026-10-31 23:00:00+0000', tz='UTC')
    >>> moment("2026-10-31 12:00")
    Timestamp('2026-10-31 12:00:00+0000', tz='UTC')
    """
    start, end = _parse(value)
    return in_utc(end, tz, second=start == end)


def first_moment(value: Moment, tz: str = "UTC") -> pd.Timestamp:
    """Return the beginning of a period, or a time as it is: a bound of a window.

    Parameters
    ----------
    value : str, datetime.date, pandas.Period or pandas.Timestamp
        A year, a month or a day, which means its first moment; or a time.
    tz : str, default "UTC"
        Zone of periods, and of times without a zone.

    Returns
    -------
    pandas.Timestamp
        The moment in UTC. A time that the zone's clocks show twice is the first one.

    Raises
    ------
    cpsl_notebook.UserError
        If the value has another form.

    Examples
    --------
    >>> first_moment("2026-10", "Europe/Berlin")
    Timestamp('2026-09-30 22:00:00+0000', tz='UTC')
    """
    return in_utc(_parse(value)[0], tz)


def first_day(value: Moment, tz: str = "UTC") -> pd.Timestamp:
    """Return the first day of a period, or the day of a time.

    Parameters
    ----------
    value : str, datetime.date, pandas.Period or pandas.Timestamp
        A year, a month, a day, or a time.
    tz : str, default "UTC"
        Zone of the day, and of times without a zone.

    Returns
    -------
    pandas.Timestamp
        Midnight of the day, without a zone.

    Raises
    ------
    cpsl_notebook.UserError
        If the value has another form.

    Examples
    --------
    >>> first_day("2026-10")
    Timestamp('2026-10-01 00:00:00')
    >>> first_day("2026-10-31T23:30Z", "Europe/Berlin")
    Timestamp('2026-11-01 00:00:00')
    """
    start, end = _parse(value)
    if start != end:
        return start
    return in_utc(start, tz).tz_convert(zone(tz)).tz_localize(None).normalize()


def in_utc(time: pd.Timestamp, tz: str, *, second: bool = False) -> pd.Timestamp:
    """Return a time in UTC.

    Parameters
    ----------
    time : pandas.Timestamp
        A time; without a zone, it is what the clocks of *tz* show.
    tz : str
        Name of a zone.
    second : bool, default False
        Which moment to return if the clocks show the time twice. A time that they skip is the next
        one that they show.

    Returns
    -------
    pandas.Timestamp
        The time in UTC, in microseconds.
    """
    if time.tzinfo is None:
        # Clocks are set back from summer time, so the first of two moments is in summer time.
        time = time.tz_localize(zone(tz), ambiguous=not second, nonexistent="shift_forward")
    return time.tz_convert("UTC").as_unit("us")


def _parse(value: Moment) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first moment of a period and the first one after it, or a time twice."""
    text = str(value).strip()
    with contextlib.suppress(ValueError, OverflowError):
        bounds = None
        if isinstance(value, pd.Period) or re.fullmatch(_PERIOD, text):
            period = value if isinstance(value, pd.Period) else pd.Period(text)
            bounds = period.start_time, (period + 1).start_time
        elif re.fullmatch(_TIME, text):
            bounds = pd.Timestamp(text), pd.Timestamp(text)
        if bounds and bounds[1].year < _TOO_LATE:
            return bounds
    raise UserError(
        f"Invalid date or time: {shown(value)}. "
        "Write it as '2026-10', '2026-10-31' or '2026-10-31 12:00'."
    )
