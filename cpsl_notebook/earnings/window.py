"""Time windows: payments from one moment up to, but not including, another."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from cpsl_notebook.earnings.dates import Moment, first_moment, moment, zone
from cpsl_notebook.earnings.ledger.builder import find_roles
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.payment_columns import UNPARSED
from cpsl_notebook.frames.unparsed import unparsed_fields

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """A half-open time window; a bound that is ``None`` is open.

    Attributes
    ----------
    since : pandas.Timestamp or None
        First moment of the window, in UTC.
    until : pandas.Timestamp or None
        First moment after the window, in UTC.

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
        since: Moment | None = None,
        until: Moment | None = None,
        month: str | pd.Period | None = None,
        tz: str = "UTC",
    ) -> Window:
        """Return the window that a user describes.

        Parameters
        ----------
        since, until : str, datetime.date, pandas.Period or pandas.Timestamp, optional
            Bounds. A year, a month or a day means its first moment in *tz*; a time without a zone
            is in *tz*. The window contains *since* but not *until*.
        month : str or pandas.Period, optional
            Calendar month in *tz*, such as ``"2025-10"``, instead of the two bounds.
        tz : str, default "UTC"
            Name of a time zone.

        Returns
        -------
        Window
            The window; falsy if both bounds are open.

        Raises
        ------
        cpsl_notebook.UserError
            If a bound, the month or the zone is invalid, or *until* is not after *since*.
        """
        zone(tz)
        if month is not None:
            if since is not None or until is not None:
                raise UserError("month cannot be combined with since or until. Leave those out.")
            if not re.fullmatch(r"\d{4}-\d\d", str(month).strip()):
                raise UserError(f"Invalid month: {month!r}. Write it as '2025-10'.")
            return cls(first_moment(month, tz), moment(month, tz))
        begin = None if since is None else first_moment(since, tz)
        end = None if until is None else first_moment(until, tz)
        if begin is not None and end is not None and begin >= end:
            raise UserError(
                f"The window from {since} to {until} is empty. until is exclusive: "
                "set it to the first moment after the window."
            )
        return cls(begin, end)

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def __str__(self) -> str:
        return "/".join(_iso(bound) for bound in (self.since, self.until)) if self else ""

    def cut(self, payments: pd.DataFrame) -> pd.DataFrame:
        """Return the payments within the window.

        Parameters
        ----------
        payments : pandas.DataFrame
            Payments, one per row.

        Returns
        -------
        pandas.DataFrame
            The payments on a default index, with the window in ``attrs["window"]`` and only the
            categories that occur; *payments* itself if both bounds are open.

        Raises
        ------
        cpsl_notebook.UserError
            If the column with the time of a payment is unknown, or a payment has no time.
        """
        if not self:
            return payments
        rows = payments[self._contains(payments)].reset_index(drop=True)
        for name in rows.columns[rows.dtypes == "category"]:
            rows[name] = rows[name].cat.remove_unused_categories()
        rows.attrs = payments.attrs | {"window": str(self)}
        if UNPARSED in rows:
            unparsed = unparsed_fields(rows)
            rows.attrs["unparsed"] = str(sum(map(len, unparsed)))
            rows = rows if len(unparsed) else rows.drop(columns=UNPARSED)
        return rows

    def _contains(self, payments: pd.DataFrame) -> pd.Series[bool]:
        """Return for each payment whether it is within the window."""
        roles = find_roles(payments)
        column = roles.columns.get("time")
        if column is None:
            raise UserError(
                f"Cannot tell which column is the time of a payment ({roles.why_not('time')}). "
                "Read the payments without a window and select rows yourself."
            )
        times = payments[column]
        if times.isna().any():
            raise UserError(
                f"Payments without a time in `{column}`: {times.isna().sum():,}. They may or may not "
                "be in the window. Read the payments without a window."
            )
        within = pd.Series(True, index=payments.index)
        if self.since is not None:
            within &= times >= self.since
        if self.until is not None:
            within &= times < self.until
        return within


def _iso(bound: pd.Timestamp | None) -> str:
    return "" if bound is None else bound.isoformat().replace("+00:00", "Z")
