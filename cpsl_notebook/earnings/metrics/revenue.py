"""Revenue by period, app, kind and currency: ``payments.capsule.revenue``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.segments import name_segments, segment_columns
from cpsl_notebook.earnings.ledger.transactions import AMOUNTS, entries, totals
from cpsl_notebook.earnings.result_table import answer, result_table

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["compute_revenue", "revenue"]

_GROUPS = ["app", "kind", "currency"]


def revenue(
    self: Earnings,
    freq: str = "MS",
    *,
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    money: bool = False,
    by: str | None = None,
) -> pd.DataFrame:
    """Return sales, refunds and fees by period, app, kind and currency.

    This is cash, not recognised revenue: a payment for a year counts in full on the day it is paid.
    Sales and refunds are separate, and fees are net of refunded fees, as in Stripe's balance
    summary: ``gross_cents + refunds_cents - fee_cents`` equals ``net_cents``.

    Parameters
    ----------
    freq : {"MS", "D", "W", "QS", "YS"}, default "MS"
        Length of a period: a month, a day, a week from Monday to Sunday, a quarter or a year.
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
        in a column of the same name.

    Returns
    -------
    pandas.DataFrame
        One row per period, app, kind and currency. Periods without payments have zeros, up to
        *as_of* or to the end of the window that was read. Refunds at an unknown time are in a last
        row without a period and a state, unless *since* is given.

        - ``period`` (datetime64[us]): first day of the period.
        - ``app``, ``kind``, ``currency`` (category).
        - ``payments`` (Int64): number of sales.
        - ``gross_cents`` (Int64): sum of sales.
        - ``refunds_cents`` (Int64): sum of refunds, negative, on the day of the refund.
        - ``fee_cents``, ``net_cents`` (Int64).
        - ``state`` (category): ``running``, ``provisional`` or ``final``.

        A sum is missing if one of its amounts is missing.

    Raises
    ------
    UserError
        *freq*, *tz*, *since* or *as_of* is invalid, or a sale has no time.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> rows = [
    ...     {"paid_at": "2026-09-30", "kind": "one_time", "gross_cents": 4900, "fee_cents": 490},
    ...     {"paid_at": "2026-10-02", "kind": "one_time", "gross_cents": -900, "fee_cents": -90},
    ... ]
    >>> payments = payments_frame([("shop", rows)])
    >>> table = payments.capsule.revenue(as_of="2026-10", money=True)
    >>> table[["period", "gross", "refunds", "fee", "net"]].astype(str)
           period  gross refunds    fee    net
    0  2026-09-01  49.00    0.00   4.90  44.10
    1  2026-10-01   0.00   -9.00  -0.90  -8.10
    """
    ledger = build(self._frame, as_of=as_of, tz=tz, by=by)
    table = name_segments(compute_revenue(ledger, freq, tz=tz, since=since), by, ledger)
    origin = answer("revenue", freq=freq, tz=tz, by=by)
    return result_table(table, ledger, money=money, answer=origin)


def compute_revenue(
    ledger: Ledger,
    freq: str = "MS",
    *,
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Compute `revenue` from a ledger, in cents."""
    calendar = Calendar(ledger.as_of, tz, freq)
    groups = [*_GROUPS, *segment_columns(ledger)]
    rows = entries(ledger)
    rows = rows.assign(period=calendar.starts(rows["paid_at"]))
    sums = totals(rows, ["period", *groups])
    until = replace(calendar, as_of=ledger.until)
    if since is not None:
        until.start(since)
    filled = until.with_empty(sums, groups, "period")
    for amount in set(AMOUNTS) & ledger.missing:
        filled[amount] = pd.Series(pd.NA, index=filled.index, dtype="Int64")
    return calendar.finish(filled, "period", since)
