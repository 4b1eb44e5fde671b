"""Monthly subscriptions: what each payer's are worth at the end of a month, and what changed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.transactions import monthly_sales
from cpsl_notebook.earnings.subscriptions.chains import (
    EARLY_DAYS,
    GRACE_DAYS,
    Chain,
    chains,
    due_dates,
    month_ends,
    one_chain,
)

__all__ = ["Subscriptions", "subscriptions"]

_OWNER = ["app", "currency", "payer"]
_AMOUNTS = ["gross_cents", "net_cents"]


@dataclass(frozen=True)
class Subscriptions:
    """The monthly payments of a ledger, in chains.

    Attributes
    ----------
    periods
        A row for each payment in a chain: ``app, currency, payer``, the ``month`` (since January
        1970) in which the period it paid for begins, ``due`` and ``until`` (days since 1970: the
        first and the last on which its amount is in force), ``gross_cents``, ``net_cents``.
    unclassified
        A row for each payment in none: ``app, currency, payer``, ``month`` (its first day),
        ``gross_cents``, ``net_cents``.
    calendar
        The months of the zone, as seen from the moment of the ledger.
    """

    periods: pd.DataFrame
    unclassified: pd.DataFrame
    calendar: Calendar

    @property
    def this_month(self) -> int:
        """The last month of which the ledger knows something."""
        return int(self.calendar.last_day.to_numpy().astype("datetime64[M]").astype(np.int64))

    def closings(self, amount: str) -> pd.DataFrame:
        """Return what was paid for the periods that are in force at the end of each month.

        Of the month that is running, it is its last known day. While a due date is open and within
        its days of grace, the amount before it stays in force.

        Returns
        -------
        pandas.DataFrame
            ``app, currency, payer, month, cents``: a row for each subscription and month.
        """
        today = int(self.calendar.last_day.to_numpy().astype("datetime64[D]").astype(np.int64))
        first, due, until = (self.periods[name].to_numpy() for name in ("month", "due", "until"))
        parts = []
        for later in range(
            3
        ):  # its own month; the next, in grace; and the running one, in the same
            month = first + later
            day = np.minimum(month_ends(month), today)
            in_force = (due <= day) & (day <= until) & (month <= self.this_month)
            part = self.periods.loc[in_force, [*_OWNER, amount]]
            parts.append(part.assign(month=month[in_force]))
        return pd.concat(parts, ignore_index=True).rename(columns={amount: "cents"})

    def movements(self, groups: list[str], amount: str = "gross_cents") -> pd.DataFrame:
        """Compare what each payer's subscriptions are worth with the month before.

        Parameters
        ----------
        groups
            The columns within which a payer is counted once: with or without ``app``.
        amount
            ``"gross_cents"`` or ``"net_cents"``.

        Returns
        -------
        pandas.DataFrame
            The groups, ``month`` (its first day), ``before`` and ``after`` (cents), and ``first``, the
            first month that the payer closed with a subscription. A row for each payer and month in
            which either is not zero.
        """
        closings = self.closings(amount)
        payer = closings.groupby([*groups, "payer"], observed=True, dropna=False, sort=False)
        closings = closings.assign(unit=payer.ngroup())
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
        moved = both.groupby(["unit", "month"], as_index=False)[["before", "after"]].sum()
        first = after.groupby("unit")["month"].min()
        moved["first"] = _label(moved["unit"].map(first))
        moved["month"] = _label(moved["month"])
        named: pd.DataFrame = moved.join(units, on="unit").drop(columns="unit")
        return named


def _label(months: pd.Series) -> pd.Series:
    """Return the first day of each month."""
    days = months.to_numpy(np.int64).astype("datetime64[M]").astype("datetime64[us]")
    return pd.Series(days, index=months.index)


def subscriptions(
    ledger: Ledger,
    what: str,
    *,
    tz: str = "UTC",
    basis: str = "gross",
) -> Subscriptions:
    """Put the monthly payments of a ledger into chains.

    Parameters
    ----------
    ledger
        The whole history.
    what
        The answer that needs them, named in an error.
    tz
        The zone whose days count.
    basis
        ``"net"`` where that amount is needed of every payment.

    Raises
    ------
    UserError
        The ledger was cut, lacks a field, or has a kind that is neither one-time nor monthly.
    """
    calendar = Calendar(ledger.as_of, tz)
    sales = _in_order(monthly_sales(ledger, what, basis), calendar)
    return _frames(sales, _chains(sales), calendar)


def _in_order(sales: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Return the sales of each payer together, in order of time, whatever their order was."""
    local = calendar.local(sales["paid_at"]).to_numpy()
    table = sales[[*_OWNER, *_AMOUNTS]].reset_index(drop=True)
    table["month"] = local.astype("datetime64[M]").astype(np.int64)
    table["day"] = local.astype("datetime64[D]").astype(np.int64)
    table["subscription"] = pd.factorize(sales["subscription"], sort=True)[0]
    table["owner"] = table.groupby(_OWNER, observed=True, dropna=False, sort=False).ngroup()
    time = sales["paid_at"].dt.tz_localize(None).to_numpy()
    amounts = [table[name].fillna(0).to_numpy(np.int64) for name in reversed(_AMOUNTS)]
    order = np.lexsort([table["subscription"], *amounts, time, table["owner"]])
    return table.iloc[order].reset_index(drop=True)


def _chains(sales: pd.DataFrame) -> list[Chain]:
    """Put the sales of each payer into chains; those of nobody known are extra."""
    columns = ("month", "day", "gross_cents", "subscription")
    payments = list(
        zip(range(len(sales)), *(sales[name].tolist() for name in columns), strict=True)
    )
    starts = np.flatnonzero(np.diff(sales["owner"].to_numpy(), prepend=-1))
    bounds = pairwise([*starts.tolist(), len(payments)])
    nobody = sales["payer"].isna().to_numpy()[starts].tolist()
    in_turn = _in_turn(sales, starts).tolist()
    return [
        chain
        for (start, end), unknown, is_one in zip(bounds, nobody, in_turn, strict=True)
        if not unknown
        for chain in (chains if not is_one else one_chain)(payments[start:end])
    ]


def _in_turn(sales: pd.DataFrame, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Say whose payments each settle the due date of the one before: most payers', seen at once.

    *starts* are the rows of the payers' first payments.
    """
    if not len(starts):
        return np.array([], dtype=bool)
    month, day, name = (sales[key].to_numpy() for key in ("month", "day", "subscription"))
    lengths = np.diff([*starts, len(sales)])
    first = np.repeat(starts, lengths)
    nth = np.arange(len(sales)) - first
    due = due_dates(month[first] + nth, day[first] - month_ends(month[first] - 1))
    on_time = (due - EARLY_DAYS <= day) & (day <= due + GRACE_DAYS)
    of_one = (name < 0) | (name == np.repeat(np.maximum.reduceat(name, starts), lengths))
    in_turn: npt.NDArray[np.bool_] = np.logical_and.reduceat(on_time & of_one, starts)
    return in_turn


def _frames(sales: pd.DataFrame, found: list[Chain], calendar: Calendar) -> Subscriptions:
    """Lay the chains out as tables."""
    kept = [chain for chain in found if not chain.unclassified]
    rows = [row for chain in kept for row in chain.rows]
    periods = sales.loc[rows, [*_OWNER, *_AMOUNTS]].reset_index(drop=True)
    length = np.array([len(chain.rows) for chain in kept], dtype=np.int64)
    start = np.repeat(np.array([chain.start for chain in kept], dtype=np.int64), length)
    day = np.repeat(np.array([chain.day for chain in kept], dtype=np.int64), length)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(length) - length, length)
    periods["month"] = start + nth
    periods["due"] = due_dates(start + nth, day)
    until = np.repeat(np.array([chain.until for chain in kept], dtype=np.int64), length)
    is_last = nth + 1 == np.repeat(length, length)
    periods["until"] = np.where(is_last, until, due_dates(start + nth + 1, day) - 1)
    none = np.ones(len(sales), dtype=bool)
    none[rows] = False
    unclassified = sales.loc[none, [*_OWNER, "month", *_AMOUNTS]]
    unclassified["month"] = _label(unclassified["month"])
    return Subscriptions(periods, unclassified, calendar)
