"""The timeline of subscriptions: what each payer's are worth at the end of each month."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.segments import SEGMENT
from cpsl_notebook.earnings.ledger.transactions import recurring_sales
from cpsl_notebook.earnings.subscriptions.due_dates import NEVER, month_ends
from cpsl_notebook.earnings.subscriptions.periods import find_periods

__all__ = ["Timeline", "build_timeline", "first_days"]

_OWNER = ["app", "currency", "payer"]
_IDENTITY = ["row", *_OWNER]
_BASES = ["gross_cents", "net_cents"]


_EXACT = 2**59
"""Sums below this, and small multiples of them, fit into 64 bits."""


@dataclass(frozen=True)
class Timeline:
    """The payments of plans in a ledger, grouped into chains.

    A payment for several months counts in each of them with an equal part. Sums of such parts are
    exact: they are in units of ``1 / scale`` cents.

    Attributes
    ----------
    periods : pandas.DataFrame
        One row for each payment in a chain: ``row``, its row in the ledger; ``app, currency``;
        ``payer``, a number; ``month``, in which the paid period begins, in months since January 1970;
        ``term``, in months; ``due`` and ``until``, the first and the last day on which the amount is
        in force, in days since 1970; ``gross_cents``, ``net_cents``. With a column ``segment``,
        payers are counted by it too.
    unclassified : pandas.DataFrame
        One row for each payment in no chain: ``row, app, currency, payer``, ``month`` (its first
        day), ``gross_cents``, ``net_cents``.
    calendar : Calendar
        Months of the time zone, as of the moment of the ledger.
    scale : int
        Least common multiple of the terms.
    """

    periods: pd.DataFrame
    unclassified: pd.DataFrame
    calendar: Calendar
    scale: int

    @property
    def this_month(self) -> int:
        """The last month that the ledger covers, in months since January 1970."""
        return int(self.calendar.last_day.to_numpy().astype("datetime64[M]").astype(np.int64))

    @cached_property
    def in_force(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Places of periods that include the end of a month, and these months since January 1970.

        For the running month, that is its last known day.
        """
        today = int(self.calendar.last_day.to_numpy().astype("datetime64[D]").astype(np.int64))
        first, term, due, until = (
            self.periods[name].to_numpy() for name in ("month", "term", "due", "until")
        )
        found: list[npt.NDArray[np.int64]] = []
        # A payment can be in force at the end of each month of its term, of the next month (in
        # grace), and on the last known day of the month after that (in grace).
        for age in range(int(term.max(initial=0)) + 2):
            month = first + age
            day = np.minimum(month_ends(month), today)
            is_in_force = (due <= day) & (day <= until) & (month <= self.this_month)
            found.append(np.flatnonzero(is_in_force))
        place = np.concatenate(found)
        ages = np.repeat(np.arange(len(found)), [len(places) for places in found])
        return place, first[place] + ages

    def closings(self, groups: list[str], amount: str) -> pd.DataFrame:
        """Return the amounts in force at the end of each month.

        For the running month, that is its last known day. While a due date is open, the previous
        amount stays in force for the days of grace.

        Parameters
        ----------
        groups : list of str
            Columns within which a payer is counted once: ``currency``, with or without ``app``.
        amount : {"gross_cents", "net_cents"}
            Amount that counts.

        Returns
        -------
        pandas.DataFrame
            ``row``, the groups, ``unit`` (number of the payer in the group), ``month`` and ``cents``:
            one row for each subscription and month. The amounts for a month are in units of
            ``1 / scale`` cents.
        """
        place, month = self.in_force
        return (
            self.periods[["row", *groups]]
            .assign(unit=self._units(groups))
            .take(place)
            .reset_index(drop=True)
            .assign(month=month, cents=self.monthly(amount)[place])
        )

    def changes(self, groups: list[str], amount: str) -> pd.DataFrame:
        """Compare what each payer's subscriptions are worth with the month before.

        Parameters
        ----------
        groups : list of str
            Columns within which a payer is counted once: ``currency``, with or without ``app``.
        amount : {"gross_cents", "net_cents"}
            Amount that counts.

        Returns
        -------
        pandas.DataFrame
            The groups, ``unit`` (the number of the payer in `closings`), ``month`` (its first day),
            ``before`` and ``after`` (in units of ``1 / scale`` cents), ``was_active`` and ``active``
            (whether a subscription was in force), and ``first``, the first month that the payer
            closed with a subscription. One row for each payer and month in which the payer is or was
            active. Those in which the payer is active are in order of payer and month.
        """
        closings = self.closings(groups, amount)
        active = closings.groupby(["unit", "month"])["cents"].sum().reset_index()
        unit, month, cents = (active[name].to_numpy() for name in ("unit", "month", "cents"))
        # The rows are in order of payer and month.
        is_first = np.diff(unit, prepend=-1) != 0
        was_active = ~is_first & (np.diff(month, prepend=0) == 1)
        continues = np.append(was_active[1:], False)[: len(unit)]
        left = np.flatnonzero(~continues & (month < self.this_month))
        first = month[np.flatnonzero(is_first)[np.cumsum(is_first) - 1]]
        place = np.append(np.arange(len(unit)), left)
        has_left = np.arange(len(place)) >= len(unit)
        before = np.where(was_active, np.append(0, cents)[:-1], 0)
        changes = pd.DataFrame(
            {
                "unit": unit[place],
                "month": month[place] + has_left,
                "before": np.where(has_left, cents[place], before[place]),
                "after": np.where(has_left, 0, cents[place]),
                "was_active": has_left | was_active[place],
                "active": ~has_left,
                "first": first[place],
            }
        )
        changes = changes.assign(
            month=first_days(changes["month"]), first=first_days(changes["first"])
        )
        units = closings.drop_duplicates("unit")
        places = np.zeros(unit.max(initial=-1) + 1, np.int64)
        places[units["unit"]] = np.arange(len(units))
        named = units[groups].take(places[unit[place]]).set_axis(changes.index)
        return pd.concat([changes, named], axis=1)

    def _units(self, groups: list[str]) -> npt.NDArray[np.int64]:
        """Return the number of the payer of each period, distinct in each group."""
        keys = [*groups, "payer"]
        by = self.periods.groupby(keys, observed=True, dropna=False, sort=False)
        units: npt.NDArray[np.int64] = by.ngroup().to_numpy().astype(np.int64)
        return units

    def monthly(self, amount: str) -> npt.NDArray[Any]:
        """Return the part of each payment that counts for a month, in units of 1 / scale cents."""
        return self.scaled(self.periods[amount], self.scale // self.periods["term"]).to_numpy()

    def scaled(self, cents: pd.Series[Any], parts: pd.Series[Any] | int) -> pd.Series[Any]:
        """Return amounts times a number of parts of a cent, which is at most the scale."""
        fits = np.abs(cents.to_numpy(float)).sum() * self.scale < _EXACT
        # Python's integers are slower, but have no limit.
        scaled: pd.Series[Any] = cents.astype("int64" if fits else object) * parts
        return scaled


def build_timeline(ledger: Ledger, metric: str, *, tz: str, basis: str) -> Timeline:
    """Group the payments of plans in a ledger into chains.

    Parameters
    ----------
    ledger : Ledger
        Whole history of payments.
    metric : str
        Name of the metric that needs the timeline, for error messages.
    tz : str
        Time zone whose days count.
    basis : {"gross", "net"}
        Amount that must not be missing, besides the gross amount.

    Raises
    ------
    UserError
        The ledger was cut to a window or may lack rows, a column or an amount is missing, or the
        months of a kind are unknown.
    """
    calendar = Calendar(ledger.as_of, tz)
    sales = _sorted_sales(recurring_sales(ledger, metric, basis), calendar)
    timeline = _timeline(sales, calendar)
    if SEGMENT in ledger.rows:
        for table in (timeline.periods, timeline.unclassified):
            table[SEGMENT] = (
                ledger.rows[SEGMENT].take(table["row"].to_numpy()).set_axis(table.index)
            )
    return timeline


def first_days(months: pd.Series) -> pd.Series:
    """Return the first day of each month since January 1970."""
    days = months.to_numpy(np.int64).astype("datetime64[M]").astype("datetime64[us]")
    return pd.Series(days, index=months.index)


def _sorted_sales(sales: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Return the sales by payer and time, in an order that does not depend on the input's."""
    local = calendar.local(sales["paid_at"]).to_numpy()
    table = sales[["app", "currency", *_BASES]].reset_index(names="row")
    table["payer"] = pd.factorize(sales["payer"])[0]
    table["term"] = sales["months"].to_numpy()
    table["month"] = local.astype("datetime64[M]").astype(np.int64)
    table["day"] = local.astype("datetime64[D]").astype(np.int64)
    refunded = calendar.local(sales["refunded_at"])
    days = refunded.to_numpy().astype("datetime64[D]").astype(np.int64)
    table["refund"] = np.where(refunded.isna(), NEVER, days)
    table["subscription"] = pd.factorize(sales["subscription"])[0]
    table["owner"] = table["payer"] + 1
    for name in ("app", "currency"):
        # Missing values have the code -1.
        codes, count = sales[name].cat.codes.to_numpy(), len(sales[name].cat.categories)
        table["owner"] = table["owner"] * (count + 1) + (codes + 1)
    time = sales["paid_at"].dt.tz_localize(None).to_numpy()
    owner = table["owner"].to_numpy()
    order = np.lexsort([time, owner])
    if ((np.diff(owner[order]) == 0) & (np.diff(time[order]) == np.timedelta64(0))).any():
        amounts = [table[name].fillna(0).to_numpy(np.int64) for name in reversed(_BASES)]
        # Rows that are equal so far stay in the order of their ids.
        order = np.lexsort([*amounts, time, owner])
    return table.take(order).reset_index(drop=True)


def _timeline(sales: pd.DataFrame, calendar: Calendar) -> Timeline:
    """Return the timeline of sorted sales."""
    found = find_periods(sales)
    periods = sales.loc[found.in_chain, [*_IDENTITY, "term", *_BASES]].reset_index(drop=True)
    for name in ("month", "due", "until"):
        periods[name] = getattr(found, name)[found.in_chain]
    outside = ~found.in_chain & (sales["gross_cents"] != 0)
    unclassified = sales.loc[outside, [*_IDENTITY, "month", *_BASES]]
    unclassified["month"] = first_days(unclassified["month"])
    scale = math.lcm(*periods["term"].unique().tolist())
    return Timeline(periods, unclassified, calendar, scale)
