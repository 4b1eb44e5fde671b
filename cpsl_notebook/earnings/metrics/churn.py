"""Payer churn and revenue retention: ``payments.capsule.churn``."""

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

__all__ = ["churn", "compute_churn", "ratio", "with_ratios"]


def churn(
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
    """Return the share of payers and of recurring revenue that each month lost.

    All ratios refer to the opening of the month, so new and reactivated payers do not count in any
    of them. See `mrr` for the definition of the movements.

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
        One row per month, app and currency. Ratios are missing if the opening is zero.

        - ``month`` (datetime64[us]): first day of the month.
        - ``app`` (category): only with ``unit="app"``.
        - ``currency`` (category).
        - ``opening_payers`` (Int64): payers with a subscription at the end of the month before.
        - ``churned_payers``, ``reactivated_payers`` (Int64): payers who left, and payers who
          returned after they had left.
        - ``payer_churn`` (Float64): churned payers divided by opening payers.
        - ``opening_cents``, ``contraction_cents``, ``churn_cents``, ``expansion_cents``,
          ``reactivation_cents`` (Int64): as returned by `mrr`.
        - ``gross_retention`` (Float64): opening less churn and contraction, divided by the opening.
        - ``net_retention`` (Float64): the same with expansion included.
        - ``state`` (category): ``running``, ``provisional`` or ``final``.

    Raises
    ------
    UserError
        The payments are limited to a window or may lack rows, the payer, the kind or an amount is
        missing, the months of a kind are unknown, or *basis*, *unit*, *tz*, *since* or *as_of* is
        invalid.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> days = [("2026-01-05", "ada"), ("2026-01-06", "bo"), ("2026-02-05", "ada")]
    >>> rows = [{"paid_at": day, "payer": payer, "gross_cents": 1500} for day, payer in days]
    >>> rows = [row | {"kind": "monthly", "fee_cents": 150} for row in rows]
    >>> table = payments_frame([("shop", rows)]).capsule.churn(as_of="2026-02")
    >>> table[["opening_payers", "churned_payers", "payer_churn"]]
       opening_payers  churned_payers  payer_churn
    0               0               0         <NA>
    1               2               1          0.5
    """
    ledger = build(self._frame, as_of=as_of, tz=tz, by=by)
    table = compute_churn(ledger, basis=basis, unit=unit, tz=tz, since=since)
    table = name_segments(table, by, ledger)
    origin = answer("churn", basis=basis, unit=unit, tz=tz, by=by)
    return result_table(table, ledger, money=money, answer=origin)


def compute_churn(
    ledger: Ledger,
    *,
    basis: str = "gross",
    unit: str = "app",
    tz: str = "UTC",
    since: Moment | None = None,
) -> pd.DataFrame:
    """Compute `churn` from a ledger, in cents."""
    groups = [*groups_of(unit), *segment_columns(ledger, per_payer=True)]
    amount = amount_of(basis)
    timeline = build_timeline(ledger, "churn", basis=basis, tz=tz)
    counts = ["opening_payers", "churned_payers", "reactivated_payers"]
    every = [f"{name}_cents" for name in ("opening", *MOVEMENTS)]
    table = sum_by_month(movements(timeline, groups, amount), groups, [*counts, *every])
    table = timeline.calendar.with_empty(table, groups, "month")
    table = in_cents(with_ratios(table), timeline.scale)
    cents = [f"{name}_cents" for name in ("opening", "contraction", "churn", "expansion")]
    order = [*counts, "payer_churn", *cents, "reactivation_cents"]
    order += ["gross_retention", "net_retention"]
    return timeline.calendar.finish(table[["month", *groups, *order]], "month", since)


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Add the ratios of `churn` to its sums, which can be in any unit."""
    kept = table["opening_cents"] + table["churn_cents"] + table["contraction_cents"]
    return table.assign(
        payer_churn=ratio(table["churned_payers"], table["opening_payers"]),
        gross_retention=ratio(kept, table["opening_cents"]),
        net_retention=ratio(kept + table["expansion_cents"], table["opening_cents"]),
    )


def ratio(part: pd.Series, whole: pd.Series) -> pd.Series:
    """Divide; missing where the divisor is zero."""
    return (part / whole.where(whole > 0)).astype("Float64")
