"""Monthly recurring revenue and its movements: ``payments.capsule.mrr``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.segments import name_segments, segment_columns
from cpsl_notebook.earnings.ledger.transactions import amount_of, groups_of
from cpsl_notebook.earnings.result_table import answer, result_table
from cpsl_notebook.earnings.subscriptions.movements import (
    MOVEMENTS,
    in_cents,
    movements,
    sum_by_month,
)
from cpsl_notebook.earnings.subscriptions.timeline import build_timeline

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["compute_mrr", "mrr"]


def mrr(
    self: Earnings,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
    as_of: Moment | None = None,
    money: bool = False,
    by: str | None = None,
) -> pd.DataFrame:
    """Return the monthly recurring revenue (MRR) at the end of each month, and its movements.

    Payments of plans form subscriptions, by the rules in
    `cpsl_notebook.earnings.subscriptions.renewals`. The MRR of a month is the sum of the amounts paid
    for periods that include its last day. A payment for several months, such as one of the kind
    ``yearly``, counts in each of them with an equal part. The parts are summed exactly, and the sums
    are rounded once. While a renewal is late, the previous amount counts for 15 days of grace, so a
    late renewal is not a movement. One-time sales do not count, and refunds only end a term of
    several months that is refunded in full. The movements are those of ChartMogul: they compare the
    closing MRR of each payer with that of the month before. A free month, with a payment of 0, is a
    contraction and then an expansion.

    Parameters
    ----------
    basis : {"gross", "net"}, default "gross"
        Amount that counts.
    unit : {"app", "payer"}, default "app"
        ``"app"`` compares the closings of each payer and app. ``"payer"`` compares those of each
        payer over all apps, so that a payer who switches apps is not counted as churn.
    tz : str, default "UTC"
        Time zone that days and months are in, such as ``"Europe/Berlin"``.
    since : str, date, datetime or Period, optional
        First month to show, such as ``"2026-10"``. It does not change the numbers.
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
        One row per month, app and currency.

        - ``month`` (datetime64[us]): first day of the month.
        - ``app`` (category): only with ``unit="app"``.
        - ``currency`` (category).
        - ``opening_cents`` (Int64): MRR at the end of the month before.
        - ``new_cents`` (Int64): from payers who never subscribed before.
        - ``expansion_cents`` (Int64): from payers who pay more than in the month before.
        - ``contraction_cents``, ``churn_cents`` (Int64): from payers who pay less, or nothing any
          more. Both are negative.
        - ``reactivation_cents`` (Int64): from payers who churned earlier and returned.
        - ``closing_cents`` (Int64): MRR at the end of the month, the exact sum of the opening and
          the movements.
        - ``unclassified_cents`` (Int64): payments of plans that renew nothing while another plan is
          in force, such as a proration. They are not part of the MRR.
        - ``payers`` (Int64): payers with a subscription at the end of the month.
        - ``state`` (category): ``running``, ``provisional`` or ``final``.

    Raises
    ------
    UserError
        The payments are limited to a window or may lack rows, the payer, the kind or an amount is
        missing, the months of a kind are unknown, or *basis*, *unit*, *tz*, *since* or *as_of* is
        invalid.

    Notes
    -----
    If an extra payment recurs, it was the first of a second subscription, which counts from the due
    date that its second payment settles. The first payment stays in ``unclassified_cents``, so that
    no final month changes.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> days = ["2026-01-31", "2026-03-01", "2026-03-31"]  # the second is a day late
    >>> rows = [{"paid_at": day, "payer": "ada", "gross_cents": 1500} for day in days]
    >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
    >>> table = payments_frame([("shop", rows)]).capsule.mrr(as_of="2026-03")
    >>> table[["month", "churn_cents", "closing_cents", "state"]]
           month  churn_cents  closing_cents        state
    0 2026-01-01            0           1500        final
    1 2026-02-01            0           1500        final
    2 2026-03-01            0           1500  provisional
    """
    ledger = build(self._frame, as_of=as_of, tz=tz, by=by)
    table = compute_mrr(ledger, basis=basis, unit=unit, tz=tz, since=since)
    table = name_segments(table, by, ledger)
    origin = answer("mrr", basis=basis, unit=unit, tz=tz, by=by)
    return result_table(table, ledger, money=money, answer=origin)


def compute_mrr(
    ledger: Ledger,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Compute `mrr` from a ledger, in cents."""
    groups = [*groups_of(unit), *segment_columns(ledger, per_payer=True)]
    amount = amount_of(basis)
    timeline = build_timeline(ledger, "mrr", basis=basis, tz=tz)
    columns = [f"{name}_cents" for name in ("opening", *MOVEMENTS, "closing", "unclassified")]
    columns.append("payers")
    extra = timeline.unclassified
    extra = extra.assign(unclassified_cents=timeline.scaled(extra[amount], timeline.scale))
    extra = extra.reindex(columns=["month", *groups, *columns], fill_value=0)
    moved = movements(timeline, groups, amount).assign(unclassified_cents=0)
    table = sum_by_month(pd.concat([moved, extra], ignore_index=True), groups, columns)
    table = in_cents(timeline.calendar.with_empty(table, groups, "month"), timeline.scale)
    return timeline.calendar.finish(table, "month", since)
