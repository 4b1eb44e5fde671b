"""Moments that people name: a day, or a time in their zone."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo

import pandas as pd

from cpsl_notebook.errors import UserError

__all__ = ["Moment", "moment", "zone"]

Moment = str | dt.date | pd.Timestamp


def zone(tz: str) -> zoneinfo.ZoneInfo:
    """Return a time zone by its name, such as ``"Europe/Berlin"``."""
    try:
        return zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise UserError(
            f"There is no time zone {tz!r}: name one such as 'Europe/Berlin'."
        ) from None


def moment(value: Moment, tz: str = "UTC") -> pd.Timestamp:
    """Return a moment in UTC; a day is its end, a time without a zone is in *tz*.

    Examples
    --------
    >>> moment("2026-10-31", "Europe/Berlin")
    Timestamp('2026-10-31 23:00:00+0000', tz='UTC')
    >>> moment("2026-10-31 12:00")
    Timestamp('2026-10-31 12:00:00+0000', tz='UTC')
    """
    is_day = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    is_day = is_day or bool(re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", str(value)))
    try:
        named = pd.Timestamp(value)
    except (ValueError, TypeError):
        named = pd.NaT  # type: ignore[assignment]
    if pd.isna(named):
        raise UserError(f"{value!r} is no moment: write it as '2026-10-31' or '2026-10-31 12:00'.")
    if is_day:
        named += pd.Timedelta(days=1)
    if named.tzinfo is None:
        named = named.tz_localize(zone(tz), ambiguous=False, nonexistent="shift_forward")
    return named.tz_convert("UTC").as_unit("us")
