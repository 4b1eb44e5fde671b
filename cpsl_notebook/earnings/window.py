"""A window of time: payments from one moment up to, not including, another."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from dataclasses import dataclass

import pandas as pd

from cpsl_notebook.earnings.dates import zone
from cpsl_notebook.earnings.ledger.builder import find_roles
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.schema import UNPARSED

__all__ = ["Side", "Window"]

Side = str | dt.date


@dataclass(frozen=True)
class Window:
    """A half-open window; a side that is ``None`` is open.

    Attributes
    ----------
    since, until
        The first moment within, and the first one after, in UTC.

    Examples
    --------
    >>> str(Window.of(month="2025-10", tz="Europe/Berlin"))
    '2025-09-30T22:00:00Z/2025-10-31T23:00:00Z'
    >>> str(Window.of(since="2025-10-01")), str(Window.of())
    ('2025-10-01T00:00:00Z/', '')
    """

    since: pd.Timestamp | None = None
    until: pd.Timestamp | None = None

    @classmethod
    def of(
        cls,
        since: Side | None = None,
        until: Side | None = None,
        month: str | None = None,
        tz: str = "UTC",
    ) -> Window:
        """Read a window as a person writes it.

        Parameters
        ----------
        since, until
            Days, which begin at midnight in *tz*, or times; those without a zone are in *tz*.
        month
            A calendar month in *tz*, such as ``"2025-10"``, instead of the two.
        tz
            The name of a time zone.

        Raises
        ------
        UserError
            A moment or the zone cannot be read, or the window has no room.
        """
        where = zone(tz)
        if month is not None:
            if since is not None or until is not None:
                raise UserError("A month is a whole window: leave since and until out.")
            since, until = _month(month)
        begin = None if since is None else _moment(since, where)
        end = None if until is None else _moment(until, where)
        if begin is not None and end is not None and begin >= end:
            raise UserError(
                f"Nothing lies between {since} and {until}: until is the first moment after."
            )
        return cls(begin, end)

    def __bool__(self) -> bool:
        """Say whether anything may lie outside."""
        return self.since is not None or self.until is not None

    def __str__(self) -> str:
        return "/".join(_iso(side) for side in (self.since, self.until)) if self else ""

    def cut(self, payments: pd.DataFrame) -> pd.DataFrame:
        """Return the payments within, on a plain index, and say so in ``attrs["window"]``.

        Raises
        ------
        UserError
            It cannot be told which column is the time, or a payment has none.
        """
        if not self:
            return payments
        rows = payments[self._within(payments)].reset_index(drop=True)
        for name in rows.columns[rows.dtypes == "category"]:
            rows[name] = rows[name].cat.remove_unused_categories()
        rows.attrs = payments.attrs | {"window": str(self)}
        if UNPARSED in rows:
            apart = rows[UNPARSED].dropna()
            rows.attrs["unparsed"] = str(sum(map(len, apart)))
            rows = rows if len(apart) else rows.drop(columns=UNPARSED)
        return rows

    def _within(self, payments: pd.DataFrame) -> pd.Series[bool]:
        """Say of every payment whether it is within."""
        roles = find_roles(payments)
        column = roles.columns.get("time")
        if column is None:
            raise UserError(
                f"Which column is the time of a payment cannot be told ({roles.why_not('time')}): "
                "read the payments without a window, and choose from their rows."
            )
        times = payments[column]
        if times.isna().any():
            raise UserError(
                f"{times.isna().sum():,} of the payments have no time in `{column}`, so whether they "
                "are in the window cannot be told: read them without one."
            )
        within = pd.Series(True, index=payments.index)
        if self.since is not None:
            within &= times >= self.since
        if self.until is not None:
            within &= times < self.until
        return within


def _month(month: str) -> tuple[dt.date, dt.date]:
    """Return the first day of a month and that of the next."""
    written = re.fullmatch(r"(\d{4})-(\d\d)", str(month).strip())
    if written is None or not 1 <= int(written[2]) <= 12 or not 1 <= int(written[1]) < 9999:
        raise UserError(f"{month!r} is no month: write it as 2025-10.")
    number = int(written[1]) * 12 + int(written[2])
    return dt.date(int(written[1]), int(written[2]), 1), dt.date(number // 12, number % 12 + 1, 1)


def _moment(value: Side, where: dt.tzinfo) -> pd.Timestamp:
    named: pd.Timestamp | None = None
    written = isinstance(value, str) and re.match(r"\s*\d{4}-\d\d-\d\d", value)
    if written or isinstance(value, dt.date):
        with contextlib.suppress(ValueError):
            named = pd.Timestamp(value)
    if named is None or pd.isna(named):
        raise UserError(f"{value!r} is no day or time: write it as 2025-10-01.")
    if named.tzinfo is None:
        # A midnight that a zone leaves out begins at the first moment there is; one that comes
        # twice begins the day the first time.
        named = named.tz_localize(where, ambiguous=True, nonexistent="shift_forward")
    return named.tz_convert("UTC").as_unit("us")


def _iso(side: pd.Timestamp | None) -> str:
    return "" if side is None else side.isoformat().replace("+00:00", "Z")
