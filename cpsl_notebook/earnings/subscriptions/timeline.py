"""The timeline of subscriptions: what each payer's are worth at the end of each month."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cpsl_notebook.earnings.calendar import PROVISIONAL_DAYS, Calendar
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.segments import SEGMENT
from cpsl_notebook.earnings.ledger.transactions import recurring_sales
from cpsl_notebook.earnings.subscriptions.renewals import (
    EARLY_DAYS,
    NEVER,
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
        One row for each payment in a chain: ``row``, its row in the ledger; ``app, currency,
        payer``; ``month``, in which the paid period begins, in months since January 1970; ``term``,
        in months; ``due`` and ``until``, the first and the last day on which the amount is in force,
        in days since 1970; ``gross_cents``, ``net_cents``. With a column ``segment``, payers are
        counted by it too.
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

    def closings(self, amount: str) -> pd.DataFrame:
        """Return the amounts in force at the end of each month.

        For the running month, that is its last known day. While a due date is open, the previous
        amount stays in force for the days of grace.

        Returns
        -------
        pandas.DataFrame
            ``row, app, currency, payer, month, cents``, and ``segment`` if the periods have it: one
            row for each subscription and month. The amounts for a month are in units of
            ``1 / scale`` cents.
        """
        today = int(self.calendar.last_day.to_numpy().astype("datetime64[D]").astype(np.int64))
        first, term, due, until = (
            self.periods[name].to_numpy() for name in ("month", "term", "due", "until")
        )
        amounts = self._monthly(amount)
        parts = []
        columns = [*_IDENTITY, *self.periods.columns.intersection([SEGMENT])]
        # A payment can be in force at the end of each month of its term, of the next month (in
        # grace), and on the last known day of the month after that (in grace).
        for later in range(int(term.max(initial=0)) + 2):
            month = first + later
            day = np.minimum(month_ends(month), today)
            in_force = (due <= day) & (day <= until) & (month <= self.this_month)
            part = self.periods.loc[in_force, columns]
            parts.append(part.assign(month=month[in_force], cents=amounts[in_force]))
        return pd.concat(parts, ignore_index=True)

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
            ``before`` and ``after`` (in units of ``1 / scale`` cents), ``was_active`` and ``active``
            (whether a subscription was in force), and ``first``, the first month that the payer
            closed with a subscription. One row for each payer and month in which the payer is or was
            active.
        """
        closings = self.closings(amount)
        closings = closings.assign(unit=self.units(closings, groups))
        units = closings.drop_duplicates("unit").set_index("unit")[groups]
        after = closings.groupby(["unit", "month"])["cents"].sum().reset_index()
        before = after[after["month"] < self.this_month]
        before = before.assign(month=before["month"] + 1)
        both: pd.DataFrame = pd.concat(
            [
                after.rename(columns={"cents": "after"}).assign(before=0, active=1, was_active=0),
                before.rename(columns={"cents": "before"}).assign(after=0, active=0, was_active=1),
            ]
        )
        numbers = ["before", "after", "was_active", "active"]
        changes = both.groupby(["unit", "month"], as_index=False)[numbers].sum()
        changes = changes.astype({"was_active": bool, "active": bool})
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

    def _monthly(self, amount: str) -> npt.NDArray[Any]:
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
    table["term"] = sales["months"].to_numpy()
    table["month"] = local.astype("datetime64[M]").astype(np.int64)
    table["day"] = local.astype("datetime64[D]").astype(np.int64)
    refunded = calendar.local(sales["refunded_at"])
    days = refunded.to_numpy().astype("datetime64[D]").astype(np.int64)
    table["refund"] = np.where(refunded.isna(), NEVER, days)
    table["subscription"] = pd.factorize(sales["subscription"], sort=True)[0]
    table["owner"] = table.groupby(_OWNER, observed=True, dropna=False, sort=False).ngroup()
    time = sales["paid_at"].dt.tz_localize(None).to_numpy()
    amounts = [table[name].fillna(0).to_numpy(np.int64) for name in reversed(_BASES)]
    # Rows that are equal so far stay in the order of their ids.
    order = np.lexsort([*amounts, time, table["owner"]])
    return table.iloc[order].reset_index(drop=True)


def _find_chains(sales: pd.DataFrame) -> list[Chain]:
    """Group the sales of each payer into chains, without those of unknown payers."""
    columns = ("month", "day", "gross_cents", "subscription", "term", "refund")
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
    month, day, name, term = (
        sales[key].to_numpy() for key in ("month", "day", "subscription", "term")
    )
    lengths = np.diff([*starts, len(sales)])
    first = np.repeat(starts, lengths)
    paid_before = np.cumsum(term) - term
    due_month = month[first] + paid_before - paid_before[first]
    due = due_dates(due_month, day[first] - month_ends(month[first] - 1))
    on_time = (due - EARLY_DAYS <= day) & (day <= due + PROVISIONAL_DAYS)
    same_name = (name < 0) | (name == np.repeat(np.maximum.reduceat(name, starts), lengths))
    is_plain = on_time & same_name & (sales["refund"].to_numpy() == NEVER)
    is_plain[starts] &= sales["gross_cents"].to_numpy(np.int64)[starts] != 0
    single: npt.NDArray[np.bool_] = np.logical_and.reduceat(is_plain, starts)
    return single


def _timeline(sales: pd.DataFrame, found: list[Chain], calendar: Calendar) -> Timeline:
    """Convert chains to the tables of a `Timeline`."""
    kept = [chain for chain in found if not chain.unclassified]
    rows = np.array([row for chain in kept for row in chain.rows], dtype=np.int64)
    length = [len(chain.rows) for chain in kept]

    def of_chains(values: Iterable[int]) -> npt.NDArray[np.int64]:
        return np.repeat(np.fromiter(values, np.int64, len(kept)), length)

    periods = sales.loc[rows, [*_IDENTITY, "term", *_BASES]].reset_index(drop=True)
    term = periods["term"].to_numpy()
    number, first_row = of_chains(range(len(kept))), of_chains(chain.rows[0] for chain in kept)
    paid_before = np.cumsum(term) - term
    is_first = rows == first_row
    paid_before -= np.maximum.accumulate(np.where(is_first, paid_before, 0))
    month, day = (
        of_chains(chain.start for chain in kept) + paid_before,
        of_chains(chain.day for chain in kept),
    )
    periods["month"], periods["due"] = month, due_dates(month, day)
    is_last = np.diff(number, append=-1) != 0
    until = np.where(
        is_last, of_chains(chain.until for chain in kept), due_dates(month + term, day) - 1
    )
    cuts = {row: last for chain in kept for row, last in chain.cuts.items()}
    cut = np.full(len(sales), NEVER)
    cut[list(cuts)] = list(cuts.values())
    periods["until"] = np.minimum(until, cut[rows])
    in_chain = ~(is_first & of_chains(chain.extra for chain in kept).astype(bool))
    periods = periods[in_chain].reset_index(drop=True)
    outside = np.ones(len(sales), dtype=bool)
    outside[rows[in_chain]] = False
    unclassified = sales.loc[outside & (sales["gross_cents"] != 0), [*_IDENTITY, "month", *_BASES]]
    unclassified["month"] = first_days(unclassified["month"])
    scale = math.lcm(*periods["term"].unique().tolist())
    return Timeline(periods, unclassified, calendar, scale)
