"""Periods of local time: months and the like, as seen from a moment, and which of them are final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.dates import Moment, first_day, zone
from cpsl_notebook.errors import UserError

__all__ = ["PROVISIONAL_DAYS", "STATES", "Calendar"]

PROVISIONAL_DAYS = 15
"""Days after its end in which a period can still change: those of grace for a renewal."""
STATES = ["running", "provisional", "final"]
_PERIODS = {"D": "D", "W": "W-SUN", "MS": "M", "QS": "Q-DEC", "YS": "Y-DEC"}


@dataclass(frozen=True)
class Calendar:
    """The periods of a time zone, as seen from a moment.

    A period is named by its first day, as a time without a zone: a label, not a moment.

    Attributes
    ----------
    as_of
        The moment, in UTC.
    tz
        The zone, such as ``"Europe/Berlin"``.
    freq
        ``"MS"`` for months, ``"D"``, ``"W"`` (Monday to Sunday), ``"QS"`` or ``"YS"``.

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
        if self.freq not in _PERIODS:
            raise UserError(f"freq is one of {', '.join(_PERIODS)}, not {self.freq!r}.")
        zone(self.tz)

    @property
    def now(self) -> pd.Timestamp:
        """The moment on the zone's clocks, without a zone."""
        return self.as_of.tz_convert(self.tz).tz_localize(None)

    @property
    def last_day(self) -> pd.Timestamp:
        """The day, on the zone's clocks, that the moment ends or is in."""
        return (self.now - pd.Timedelta(1, "us")).normalize()

    def local(self, times: pd.Series) -> pd.Series:
        """Return moments in UTC as what the zone's clocks showed."""
        clocks: pd.Series[Any] = times.dt.tz_convert(self.tz).dt.tz_localize(None)
        return clocks

    def starts(self, times: pd.Series) -> pd.Series:
        """Return the first day of the period of each moment."""
        periods = self.local(times).dt.to_period(_PERIODS[self.freq])
        starts: pd.Series[Any] = periods.dt.start_time.astype("datetime64[us]")
        return starts

    def start(self, day: Moment) -> pd.Timestamp:
        """Return the first day of the period of a day, or of a month such as ``"2025-10"``."""
        return first_day(day, self.tz).to_period(_PERIODS[self.freq]).start_time

    def with_empty(self, table: pd.DataFrame, groups: list[str], name: str) -> pd.DataFrame:
        """Add the periods, up to now, that a group of the table has no row for, with zeros.

        *name* is that of the column with the periods' first days.
        """
        if table.empty:
            return table
        keys = [name, *groups]
        periods = pd.period_range(table[name].min(), self.last_day, freq=_PERIODS[self.freq])
        every = pd.DataFrame({name: periods.to_timestamp(how="start").as_unit("us")})
        every = every.merge(table[groups].drop_duplicates(), how="cross")
        filled = every.merge(table, on=keys, how="left", indicator=True)
        nothing = filled.pop("_merge") == "left_only"
        numbers = [str(column) for column in table if column not in keys]
        filled[numbers] = filled[numbers].mask(nothing, 0)
        return filled.sort_values(keys, ignore_index=True)

    def finish(self, table: pd.DataFrame, name: str, since: Moment | None) -> pd.DataFrame:
        """Leave out the periods before *since*, and say of each other one in which state it is."""
        if since is not None:
            table = table[table[name] >= self.start(since)].reset_index(drop=True)
        return table.assign(state=self.states(table[name]))

    def states(self, starts: pd.Series) -> pd.Series:
        """Say of each period whether it is running, provisional or final."""
        days = pd.Series(pd.to_datetime(starts.unique()), dtype="datetime64[us]")
        ends = days.dt.to_period(_PERIODS[self.freq]).dt.end_time + pd.Timedelta(1, "ns")
        settled = ends + pd.Timedelta(days=PROVISIONAL_DAYS)
        state = pd.Series("provisional", index=days, dtype=object)
        state[(ends > self.now).to_numpy()] = "running"
        state[(settled <= self.now).to_numpy()] = "final"
        return starts.map(state).astype(pd.CategoricalDtype(STATES, ordered=True))
