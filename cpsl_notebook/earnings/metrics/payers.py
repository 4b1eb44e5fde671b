"""Active, new and returning payers, and the top payers by net revenue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.dates import Moment, first_day, zone
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.overflow import check_sums
from cpsl_notebook.earnings.ledger.segments import name_segments, segment_columns
from cpsl_notebook.earnings.ledger.transactions import amount_of, entries, groups_of, totals
from cpsl_notebook.earnings.result_table import answer, result_table
from cpsl_notebook.errors import UserError, shown
from cpsl_notebook.reproducible import warn

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = [
    "average",
    "compute_payers",
    "compute_top_payers",
    "is_purchase",
    "payers",
    "since_rows",
    "top_payers",
]


def payers(
    self: Earnings,
    freq: str = "MS",
    *,
    unit: str = "app",
    basis: str = "gross",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    money: bool = False,
    by: str | None = None,
) -> pd.DataFrame:
    """Return the number of payers by period, and the average revenue per payer.

    Parameters
    ----------
    freq : {"MS", "D", "W", "QS", "YS"}, default "MS"
        Length of a period: a month, a day, a week from Monday to Sunday, a quarter or a year.
    unit : {"app", "payer"}, default "app"
        ``"app"`` counts payers by app: a payer of two apps counts in both. ``"payer"`` counts each
        payer once over all apps.
    basis : {"gross", "net"}, default "gross"
        Amount that ``revenue_cents`` adds up: gross amounts of sales, or net amounts, which include
        refunds.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First day or month to show, such as ``"2026-10"``.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    money : bool, default False
        Whether to return exact decimals in currency, in columns without the ``_cents`` suffix.
    by : str, optional
        Column of the payments, such as ``"country"``. The result has a row for each of its values,
        in a column of the same name. All payments of a payer must have the same value.

    Returns
    -------
    pandas.DataFrame
        One row per period, app and currency. Refunds at an unknown time are in a last row without a
        period and a state, unless *since* is given.

        - ``period`` (datetime64[us]): first day of the period.
        - ``app`` (category): only with ``unit="app"``.
        - ``currency`` (category).
        - ``active_payers`` (Int64): payers with a sale in the period. A payment of 0 is not a sale.
        - ``new_payers`` (Int64): payers whose first sale is in the period. Missing if the payments
          are limited to a window, and, with a warning, if rows may be missing.
        - ``returning_payers`` (Int64): the other active payers. Missing in the same case.
        - ``revenue_cents`` (Int64): revenue from all payments that have a payer.
        - ``arpp_cents`` (Int64): average revenue per active payer, rounded half up to a cent.
          Missing if there is no active payer.
        - ``state`` (category): ``running``, ``provisional`` or ``final``.

    Raises
    ------
    UserError
        No column has the payer or the amount, a payment has no time, or *freq*, *unit*, *basis*,
        *tz*, *since* or *as_of* is invalid.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> days = [("2026-09-30", "ada"), ("2026-10-02", "ada"), ("2026-10-03", "bo")]
    >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
    >>> payments = payments_frame([("shop", [row | {"fee_cents": 150} for row in rows])])
    >>> table = payments.capsule.payers(as_of="2026-10")
    >>> table[["active_payers", "new_payers", "revenue_cents"]]
       active_payers  new_payers  revenue_cents
    0              1           1           1500
    1              2           1           3000
    """
    ledger = build(self._frame, as_of=as_of, tz=tz, by=by)
    table = compute_payers(ledger, freq, unit=unit, basis=basis, tz=tz, since=since)
    table = name_segments(table, by, ledger)
    origin = answer("payers", freq=freq, basis=basis, unit=unit, tz=tz, by=by)
    return result_table(table, ledger, money=money, answer=origin)


def compute_payers(
    ledger: Ledger,
    freq: str = "MS",
    *,
    unit: str = "app",
    basis: str = "gross",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Compute `payers` from a ledger, in cents."""
    amount = amount_of(basis)
    ledger.need("payers", "payer", amount)
    calendar = Calendar(ledger.as_of, tz, freq)
    groups = [*groups_of(unit), *segment_columns(ledger, per_payer=True)]
    rows = entries(ledger).dropna(subset="payer")
    rows = rows.assign(period=calendar.starts(rows["paid_at"]))
    counts = _counts(rows[is_purchase(rows)], groups)
    sums = totals(rows, ["period", *groups])
    sums = sums[["period", *groups, amount]]
    keys = ["period", *groups]
    until = replace(calendar, as_of=ledger.until)
    if since is not None:
        until.start(since)
    table = until.with_empty(sums.merge(counts, on=keys, how="left"), groups, "period")
    numbers = ["active_payers", "new_payers", "returning_payers"]
    table[numbers] = table[numbers].fillna(0)  # periods with refunds but without a sale
    table["revenue_cents"] = table.pop(amount)
    table["arpp_cents"] = average(table["revenue_cents"], table["active_payers"])
    gap = "" if ledger.cut else ledger.find_gap()
    if gap:
        message = f"payers() cannot tell new from returning payers: {gap}. {ledger.how_to_declare}"
        warn(message, stacklevel=3)
    if ledger.cut or gap:
        table[["new_payers", "returning_payers"]] = pd.NA
    return calendar.finish(table, "period", since)


def is_purchase(rows: pd.DataFrame) -> pd.Series[bool]:
    """Return whether each of the `entries` makes its payer a payer: a sale that is not free."""
    return ~rows["refund"] & (rows["gross_cents"] != 0).fillna(True).astype(bool)


def _counts(sales: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Count active, new and returning payers by period and group."""
    each = sales[["period", *groups, "payer"]].drop_duplicates()
    first = each.groupby([*groups, "payer"], observed=True, dropna=False)["period"]
    each["new"] = (each["period"] == first.transform("min")).astype("Int64")
    by = each.groupby(["period", *groups], observed=True, dropna=False)["new"]
    counts = by.agg(active_payers="size", new_payers="sum").astype("Int64").reset_index()
    return counts.assign(returning_payers=counts["active_payers"] - counts["new_payers"])


def average(sums: pd.Series, counts: pd.Series) -> pd.Series:
    """Divide cents by counts in integers, rounded half up; missing where the count is 0."""
    divisors = counts.where(counts > 0)
    rest = sums % divisors
    return (sums // divisors + (2 * rest >= divisors).astype("Int64")).astype("Int64")


def top_payers(
    self: Earnings,
    n: int = 10,
    *,
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    money: bool = False,
) -> pd.DataFrame:
    """Return the top payers by net revenue over all apps, for each currency.

    Parameters
    ----------
    n : int, default 10
        Number of payers for each currency. Payers with equal revenue are ordered by name.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First day that counts, or a month or year whose first day it is, such as ``"2026-10"``.
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    money : bool, default False
        Whether to return exact decimals in currency, in columns without the ``_cents`` suffix.

    Returns
    -------
    pandas.DataFrame
        One row per currency and payer.

        - ``currency`` (category).
        - ``rank`` (Int64): 1 is the payer with the highest net revenue.
        - ``payer`` (string).
        - ``payments`` (Int64): number of sales.
        - ``gross_cents``, ``refunds_cents``, ``fee_cents``, ``net_cents`` (Int64).
        - ``share`` (Float64): share of the net revenue from all payments in the currency, from 0 to
          1. Missing if that revenue is not positive.

    Raises
    ------
    UserError
        No column has the payer or the net amount, a payment has no time, or *n*, *tz*, *since* or
        *as_of* is invalid.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> sums = {"ada": 9000, "bo": 1000}
    >>> rows = [{"payer": payer, "gross_cents": cents} for payer, cents in sums.items()]
    >>> rows = [row | {"paid_at": "2026-10-02", "fee_cents": 0} for row in rows]
    >>> payments_frame([("shop", rows)]).capsule.top_payers(1)[["rank", "payer", "share"]]
       rank payer  share
    0     1   ada    0.9
    """
    ledger = build(self._frame, as_of=as_of, tz=tz)
    table = compute_top_payers(ledger, n, tz=tz, since=since)
    first = None if since is None else f"{first_day(since, tz):%Y-%m-%d}"
    origin = answer("top_payers", since=first, tz=tz)
    return result_table(table, ledger, money=money, answer=origin)


def compute_top_payers(
    ledger: Ledger,
    n: int = 10,
    *,
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Compute `top_payers` from a ledger, in cents."""
    ledger.need("top_payers", "payer", "net_cents")
    zone(tz)
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise UserError(f"Invalid n: {shown(n)}. Pass the number of payers to show, such as 10.")
    rows = since_rows(entries(ledger), ledger, since, tz)
    table = totals(rows, ["currency", "payer"])
    check_sums(table[["net_cents"]], [table["currency"]])
    whole = table.groupby("currency", observed=True, dropna=False)["net_cents"].transform("sum")
    table["share"] = (table["net_cents"] / whole.where(whole > 0)).astype("Float64")
    table = table.dropna(subset="payer").sort_values(
        ["currency", "net_cents", "payer"], ascending=[True, False, True], ignore_index=True
    )
    rank = table.groupby("currency", observed=True, dropna=False).cumcount() + 1
    table.insert(1, "rank", rank.astype("Int64"))
    return table[table["rank"] <= n].reset_index(drop=True)


def since_rows(rows: pd.DataFrame, ledger: Ledger, since: Moment | None, tz: str) -> pd.DataFrame:
    """Return the rows from the first day of *since* on."""
    if since is None:
        return rows
    calendar = Calendar(ledger.until, tz, "D")
    return rows[calendar.local(rows["paid_at"]) >= calendar.start(since)]
