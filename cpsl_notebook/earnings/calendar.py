"""Calendar periods in a time zone, and whether they are final at a given moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.dates import Moment, first_day, zone
from cpsl_notebook.errors import UserError, shown

__all__ = ["PROVISIONAL_DAYS", "STATES", "Calendar"]

PROVISIONAL_DAYS = 15
"""Days after its end during which a period can still change: the days of grace for a renewal."""
STATES = ["running", "provisional", "final"]
_PERIODS = {"D": "D", "W": "W-SUN", "MS": "M", "QS": "Q-DEC", "YS": "Y-DEC"}


@dataclass(frozen=True)
class Calendar:
    """The periods of a time zone up to a moment.

    A period is labelled by midnight of its first day, as a time without a zone.

    Attributes
    ----------
    as_of : pandas.Timestamp
        The moment, in UTC.
    tz : str
        Name of a time zone, such as ``"Europe/Berlin"``.
    freq : {"D", "W", "MS", "QS", "YS"}
        Length of a period: a day, a week (Monday to Sunday), a month, a quarter or a year.

    Examples
    --------
    >>> calendar = Calendar(pd.Timestamp("2025-11-03", tz="UTC"), "Europe/Berlin")
    >>> paid_at = pd.Series(pd.to_datetime(["2025-09-30T21:59:59Z", "2025-09-30T22:00:00Z"]))
    >>> calendar.starts(paid_at).dt.strftime("%Y-%m-%d").tolist()
    ['2025-09-01', '2025-10-01']
    >>> list(calendar.states(calendar.starts(paid_at)))
    ['final', 'provisional']
    """

    as_of: pd.Timestamp
    tz: str = "UTC"
    freq: str = "MS"

    def __post_init__(self) -> None:
        if not isinstance(self.freq, str) or self.freq not in _PERIODS:
            raise UserError(f"freq must be one of {', '.join(_PERIODS)}, not {shown(self.freq)}.")
        zone(self.tz)

    @property
    def now(self) -> pd.Timestamp:
        """The moment in local time, without a zone."""
        return self.as_of.tz_convert(self.tz).tz_localize(None)

    @property
    def last_day(self) -> pd.Timestamp:
        """The local day that contains the moment, or that ends with it."""
        last = self.as_of - pd.Timedelta(1, "us")  # local clocks may skip midnight
        return last.tz_convert(self.tz).tz_localize(None).normalize()

    def local(self, times: pd.Series) -> pd.Series:
        """Return times in UTC as local times without a zone."""
        local: pd.Series[Any] = times.dt.tz_convert(self.tz).dt.tz_localize(None)
        return local

    def starts(self, times: pd.Series) -> pd.Series:
        """Return the label of the period of each time in UTC."""
        periods = self.local(times).dt.to_period(_PERIODS[self.freq])
        starts: pd.Series[Any] = periods.dt.start_time.astype("datetime64[us]")
        return starts

    def start(self, since: Moment) -> pd.Timestamp:
        """Return the label of the period that a day, a month or a time begins in.

        Raises
        ------
        cpsl_notebook.UserError
            If it begins after `as_of`, so that the result would have no rows.
        """
        day = first_day(since, self.tz)
        if day > self.last_day:
            raise UserError(
                f"since={since} begins after {self.as_of:%Y-%m-%d %H:%M} UTC, up to which "
                "the result holds. Choose an earlier since or a later as_of."
            )
        return day.to_period(_PERIODS[self.freq]).start_time

    def with_empty(self, table: pd.DataFrame, groups: list[str], name: str) -> pd.DataFrame:
        """Add rows of zeros for periods, up to the moment, in which a group has no row.

        Parameters
        ----------
        table : pandas.DataFrame
            One row per period and group.
        groups : list of str
            Columns that identify a group.
        name : str
            Column with the labels of the periods.

        Returns
        -------
        pandas.DataFrame
            The table with a row for every group and every period from the first one of any group,
            ordered by period and group. Rows without a period come last.
        """
        keys = [name, *groups]
        undated = table[table[name].isna()].sort_values(groups)
        table = table[table[name].notna()]
        if table.empty:
            return undated.reset_index(drop=True)
        periods = pd.period_range(table[name].min(), self.last_day, freq=_PERIODS[self.freq])
        every = pd.DataFrame({name: periods.to_timestamp(how="start").as_unit("us")})
        every = every.merge(table[groups].drop_duplicates(), how="cross")
        filled = every.merge(table, on=keys, how="left", indicator=True)
        added = filled.pop("_merge") == "left_only"
        numbers = [str(column) for column in table if column not in keys]
        filled[numbers] = filled[numbers].mask(added, 0)
        return pd.concat([filled.sort_values(keys), undated], ignore_index=True)

    def finish(self, table: pd.DataFrame, name: str, since: Moment | None) -> pd.DataFrame:
        """Remove the periods before *since*, and add the column ``state``.

        Parameters
        ----------
        table : pandas.DataFrame
            A table with one or more rows per period.
        name : str
            Column with the labels of the periods.
        since : str, datetime.date, pandas.Period, pandas.Timestamp or None
            First period to keep, by a date within it; ``None`` for all, and for rows without a
            period.

        Returns
        -------
        pandas.DataFrame
            The rows on a default index, with the `states` of their periods.
        """
        if since is not None:
            table = table[table[name] >= self.start(since)].reset_index(drop=True)
        return table.assign(state=self.states(table[name]))

    def states(self, starts: pd.Series) -> pd.Series:
        """Return the state of each period.

        Parameters
        ----------
        starts : pandas.Series
            Labels of periods.

        Returns
        -------
        pandas.Series
            ``category``: ``"running"`` until the period ends, ``"provisional"`` for
            `PROVISIONAL_DAYS` after that, then ``"final"``. Missing without a period.
        """
        days = pd.Series(pd.to_datetime(starts.dropna().unique()), dtype="datetime64[us]")
        ends = days.dt.to_period(_PERIODS[self.freq]).dt.end_time + pd.Timedelta(1, "ns")
        settled = ends + pd.Timedelta(days=PROVISIONAL_DAYS)
        state = pd.Series("provisional", index=days, dtype=object)
        state[(ends > self.now).to_numpy()] = "running"
        state[(settled <= self.now).to_numpy()] = "final"
        return starts.map(state).astype(pd.CategoricalDtype(STATES, ordered=True))
