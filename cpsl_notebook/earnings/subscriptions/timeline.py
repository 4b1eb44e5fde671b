"""The timeline of monthly subscriptions: what each payer's are worth at the end of each month."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from cpsl_notebook.earnings.calendar import PROVISIONAL_DAYS, Calendar
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.segments import SEGMENT
from cpsl_notebook.earnings.ledger.transactions import monthly_sales
from cpsl_notebook.earnings.subscriptions.chains import (
    EARLY_DAYS,
    Chain,
    chains,
    due_dates,
    month_ends,
    one_chain,
)

__all__ = ["Timeline", "build_timeline", "first_days"]

_OWNER = ["app", "currency", "payer"]
_IDENTITY = ["row", *_OWNER]
_BASES = ["gross_cents", "net_cents"]


@dataclass(frozen=True)
class Timeline:
    """The monthly payments of a ledger, grouped into chains.

    Attributes
    ----------
    periods : pandas.DataFrame
        One row for each payment in a chain: ``row``, its row in the ledger; ``app, currency,
        payer``; ``month``, in which the paid period begins, in months since January 1970; ``due``
        and ``until``, the first and the last day on which the amount is in force, in days since
        1970; ``gross_cents``, ``net_cents``. With a column ``segment``, payers are counted by it too.
    unclassified : pandas.DataFrame
        One row for each payment in no chain: ``row, app, currency, payer``, ``month`` (its first
        day), ``gross_cents``, ``net_cents``.
    calendar : Calendar
        Months of the time zone, as of the moment of the ledger.
    """

    periods: pd.DataFrame
    unclassified: pd.DataFrame
    calendar: Calendar

    @property
    def this_month(self) -> int:
        """The last month that the ledger covers, in months since January 1970."""
        return int(self.calendar.last_day.to_numpy().astype("datetime64[M]").astype(np.int64))

    def closings(self, amount: str) -> pd.DataFrame:
        """Return the amounts in force at the end of each month.

        For the running month, that is its last known day. While a due date is open, the previous
        amount stays in force for the days of grace.

        Returns
        -------
        pandas.DataFrame
            ``row, app, currency, payer, month, cents``, and ``segment`` if the periods have it: one
            row for each subscription and month.
        """
        today = int(self.calendar.last_day.to_numpy().astype("datetime64[D]").astype(np.int64))
        first, due, until = (self.periods[name].to_numpy() for name in ("month", "due", "until"))
        parts = []
        columns = [*_IDENTITY, *self.periods.columns.intersection([SEGMENT]), amount]
        # A payment can be in force at the end of the month in which its period begins, of the next
        # month (in grace), and on the last known day of the month after that (in grace).
        for later in range(3):
            month = first + later
            day = np.minimum(month_ends(month), today)
            in_force = (due <= day) & (day <= until) & (month <= self.this_month)
            part = self.periods.loc[in_force, columns]
            parts.append(part.assign(month=month[in_force]))
        return pd.concat(parts, ignore_index=True).rename(columns={amount: "cents"})

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
            The groups, ``unit`` (the number of the payer in `units`), ``month`` (its first day),
            ``before`` and ``after`` (cents), and ``first``, the first month that the payer closed
            with a subscription. One row for each payer and month in which either amount is not zero.
        """
        closings = self.closings(amount)
        closings = closings.assign(unit=self.units(closings, groups))
        units = closings.drop_duplicates("unit").set_index("unit")[groups]
        after = closings.groupby(["unit", "month"], as_index=False)["cents"].sum()
        after = after[after["cents"] != 0]
        before = after[after["month"] < self.this_month]
        before = before.assign(month=before["month"] + 1, after=0)
        both = pd.concat(
            [
                after.assign(before=0).rename(columns={"cents": "after"}),
                before.rename(columns={"cents": "before"}),
            ]
        )
        changes = both.groupby(["unit", "month"], as_index=False)[["before", "after"]].sum()
        first = after.groupby("unit")["month"].min()
        changes["first"] = first_days(changes["unit"].map(first))
        changes["month"] = first_days(changes["month"])
        named: pd.DataFrame = changes.join(units, on="unit")
        return named

    @staticmethod
    def units(closings: pd.DataFrame, groups: list[str]) -> pd.Series:
        """Return the number of the payer of each row of `closings`, distinct in each group."""
        keys = [*groups, "payer"]
        return closings.groupby(keys, observed=True, dropna=False, sort=False).ngroup()


def build_timeline(ledger: Ledger, metric: str, *, tz: str, basis: str) -> Timeline:
    """Group the monthly payments of a ledger into chains.

    Parameters
    ----------
    ledger : Ledger
        Whole history of payments.
    metric : str
        Name of the metric that needs the timeline, for error messages.
    tz : str
        Time zone whose days count.
    basis : {"gross", "net"}
        Amount that must not be missing, beside the gross amount.

    Raises
    ------
    UserError
        The ledger was cut to a window, a column or an amount is missing, or a kind is neither
        one-time nor monthly.
    """
    calendar = Calendar(ledger.as_of, tz)
    sales = _sorted_sales(monthly_sales(ledger, metric, basis), calendar)
    timeline = _timeline(sales, _find_chains(sales), calendar)
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
    table = sales[[*_OWNER, *_BASES]].reset_index(names="row")
    table["month"] = local.astype("datetime64[M]").astype(np.int64)
    table["day"] = local.astype("datetime64[D]").astype(np.int64)
    table["subscription"] = pd.factorize(sales["subscription"], sort=True)[0]
    table["owner"] = table.groupby(_OWNER, observed=True, dropna=False, sort=False).ngroup()
    time = sales["paid_at"].dt.tz_localize(None).to_numpy()
    amounts = [table[name].fillna(0).to_numpy(np.int64) for name in reversed(_BASES)]
    order = np.lexsort([table["subscription"], *amounts, time, table["owner"]])
    return table.iloc[order].reset_index(drop=True)


def _find_chains(sales: pd.DataFrame) -> list[Chain]:
    """Group the sales of each payer into chains, without those of unknown payers."""
    columns = ("month", "day", "gross_cents", "subscription")
    payments = list(
        zip(range(len(sales)), *(sales[name].tolist() for name in columns), strict=True)
    )
    starts = np.flatnonzero(np.diff(sales["owner"].to_numpy(), prepend=-1))
    bounds = pairwise([*starts.tolist(), len(payments)])
    unknown_payers = sales["payer"].isna().to_numpy()[starts].tolist()
    single = _form_one_chain(sales, starts).tolist()
    return [
        chain
        for (start, end), unknown, is_one in zip(bounds, unknown_payers, single, strict=True)
        if not unknown
        for chain in (one_chain if is_one else chains)(payments[start:end])
    ]


def _form_one_chain(sales: pd.DataFrame, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return for each payer whether each payment settles the due date of the one before.

    That is so for most payers, and it is much faster to find out for all at once. *starts* are the
    rows of the payers' first payments.
    """
    if not len(starts):
        return np.array([], dtype=bool)
    month, day, name = (sales[key].to_numpy() for key in ("month", "day", "subscription"))
    lengths = np.diff([*starts, len(sales)])
    first = np.repeat(starts, lengths)
    nth = np.arange(len(sales)) - first
    due = due_dates(month[first] + nth, day[first] - month_ends(month[first] - 1))
    on_time = (due - EARLY_DAYS <= day) & (day <= due + PROVISIONAL_DAYS)
    same_name = (name < 0) | (name == np.repeat(np.maximum.reduceat(name, starts), lengths))
    single: npt.NDArray[np.bool_] = np.logical_and.reduceat(on_time & same_name, starts)
    return single


def _timeline(sales: pd.DataFrame, found: list[Chain], calendar: Calendar) -> Timeline:
    """Convert chains to the tables of a `Timeline`."""
    kept = [chain for chain in found if not chain.unclassified]
    rows = [row for chain in kept for row in chain.rows]
    periods = sales.loc[rows, [*_IDENTITY, *_BASES]].reset_index(drop=True)
    length = np.array([len(chain.rows) for chain in kept], dtype=np.int64)
    start = np.repeat(np.array([chain.start for chain in kept], dtype=np.int64), length)
    day = np.repeat(np.array([chain.day for chain in kept], dtype=np.int64), length)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(length) - length, length)
    periods["month"] = start + nth
    periods["due"] = due_dates(start + nth, day)
    until = np.repeat(np.array([chain.until for chain in kept], dtype=np.int64), length)
    is_last = nth + 1 == np.repeat(length, length)
    periods["until"] = np.where(is_last, until, due_dates(start + nth + 1, day) - 1)
    outside = np.ones(len(sales), dtype=bool)
    outside[rows] = False
    unclassified = sales.loc[outside, [*_IDENTITY, "month", *_BASES]]
    unclassified["month"] = first_days(unclassified["month"])
    return Timeline(periods, unclassified, calendar)
