"""Net revenue that is not paid out yet, with its age: ``payments.capsule.payouts``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from cpsl_notebook.earnings.calendar import Calendar
from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.overflow import check_sums
from cpsl_notebook.earnings.ledger.transactions import check_unique, entries, totals
from cpsl_notebook.earnings.result_table import answer, result_table
from cpsl_notebook.errors import UserError, shown

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["AGES", "compute_payouts", "payout_rows", "payouts", "with_ages"]

_PAID_OUT, _PAID_OUT_LATER = "Paid out", "Paid out later"
_PAID_OUT_SOMETIME = "Paid out at an unknown time"
_UNKNOWN = "Unknown"
AGES = {
    "days_0_7_cents": (0, 7),
    "days_8_30_cents": (8, 30),
    "days_31_90_cents": (31, 90),
    "days_over_90_cents": (91, math.inf),
}
_BY = ("payout_state", "payout_id")


def payouts(
    self: Earnings,
    *,
    as_of: Moment | None = None,
    tz: str = "UTC",
    money: bool = False,
    by: str = "payout_state",
) -> pd.DataFrame:
    """Return the net amounts that are not paid out, by payout state; or all amounts by payout.

    The payout states are those at the time of reading. If *as_of* is earlier, payments that were
    paid out after it have the state ``"Paid out later"``, and those that were paid out at an unknown
    time, before or after it, have the state ``"Paid out at an unknown time"``.

    Parameters
    ----------
    as_of : str, date, datetime or Period, optional
        Moment up to which payments count. A day, a month or a year means its end, or the time of
        reading if that is earlier, with a warning if it is more than a day earlier. Defaults to the
        time at which the payments were read.
    tz : str, default "UTC"
        Time zone whose calendar days count for ages, such as ``"Europe/Berlin"``.
    money : bool, default False
        Whether to return exact decimals in currency, in columns without the ``_cents`` suffix.
    by : {"payout_state", "payout_id"}, default "payout_state"
        ``"payout_id"`` adds up the payments of each payout, which is one transfer to the bank
        account, so that the result can be compared with a bank statement.

    Returns
    -------
    pandas.DataFrame
        By payout state, one row per app, currency and state.

        - ``app``, ``currency`` (category).
        - ``payout_state`` (string): ``"Unknown"`` for payments without a state. States that the
          service does not document have rows too.
        - ``payments`` (Int64): number of payments and refunds.
        - ``net_cents`` (Int64): sum of net amounts. Missing if one of them is missing.
        - ``days_0_7_cents``, ``days_8_30_cents``, ``days_31_90_cents``, ``days_over_90_cents``
          (Int64): the same sum by age of the payment in days.
        - ``oldest_days`` (Int64), ``oldest_paid_at`` (datetime64[us, UTC]), ``oldest_payment_id``
          (string): age, time and id of the oldest payment.

        By payout id, one row per currency and payout, in order of time.

        - ``currency`` (category).
        - ``payout_id`` (string): missing for payments that were in no payout by *as_of*.
        - ``payout_at`` (datetime64[us, UTC]): time of the payout, if the payments have it.
        - ``payments`` (Int64): number of sales.
        - ``gross_cents``, ``refunds_cents``, ``fee_cents``, ``net_cents`` (Int64): sums of sales,
          of refunds (negative), of fees, and the amount that reaches the bank. A sum is missing if
          one of its amounts is.

    Raises
    ------
    UserError
        No column has the payout state (or the payout id) or the net amount, or *as_of*, *tz* or
        *by* is invalid.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"gross_cents": 1500, "fee_cents": 150, "payout_state": "In progress"}
    >>> days = ["2026-01-01", "2026-01-30"]
    >>> payments = payments_frame([("shop", [row | {"paid_at": day} for day in days])])
    >>> waiting = payments.capsule.payouts(as_of="2026-01")
    >>> waiting[["payout_state", "net_cents", "days_0_7_cents", "oldest_days"]]
      payout_state  net_cents  days_0_7_cents  oldest_days
    0  In progress       2700            1350           30
    """
    ledger = build(self._frame, as_of=as_of, tz=tz)
    table = compute_payouts(ledger, by, tz=tz)
    return result_table(table, ledger, money=money, answer=answer("payouts", by=by, tz=tz))


def compute_payouts(ledger: Ledger, by: str = "payout_state", *, tz: str = "UTC") -> pd.DataFrame:
    """Compute `payouts` from a ledger, in cents."""
    if not isinstance(by, str) or by not in _BY:
        raise UserError(f"by must be one of {', '.join(_BY)}, not {shown(by)}.")
    ledger.need("payouts", by, "net_cents")
    rows = payout_rows(ledger, by)
    return _by_id(rows) if by == "payout_id" else _by_state(rows, ledger.as_of, tz)


def payout_rows(ledger: Ledger, by: str) -> pd.DataFrame:
    """Return the payments that `payouts` adds up, with the state or the payout as of the ledger.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    by : {"payout_state", "payout_id"}
        What they are grouped by.

    Returns
    -------
    pandas.DataFrame
        The result of `entries`: all rows, or for ``"payout_state"`` those that are not paid out.
    """
    later = (ledger.rows["payout_at"] >= ledger.as_of).fillna(False).astype(bool)
    if by == "payout_id":
        rows = entries(ledger)
        return rows.assign(
            payout_id=rows["payout_id"].mask(later), payout_at=rows["payout_at"].mask(later)
        )
    check_unique(ledger)
    state = ledger.rows["payout_state"].astype("string").fillna(_UNKNOWN)
    state = state.mask(later & (state == _PAID_OUT), _PAID_OUT_LATER)
    if ledger.in_past:
        undated = (state == _PAID_OUT) & ledger.rows["payout_at"].isna()
        state = state.mask(undated, _PAID_OUT_SOMETIME)
    return ledger.rows.assign(payout_state=state)[state != _PAID_OUT]


def _by_state(rows: pd.DataFrame, as_of: pd.Timestamp, tz: str) -> pd.DataFrame:
    """Add up net amounts by app, currency and payout state, in total and by age."""
    rows = with_ages(rows, as_of, tz)
    keys = ["app", "currency", "payout_state"]
    check_sums(rows[["net_cents"]], [rows[name] for name in keys])
    groups = rows.groupby(keys, observed=True, dropna=False)
    missing = rows["net_cents"].isna().groupby([rows[name] for name in keys], observed=True).any()
    sums = groups[["net_cents", *AGES]].sum().mask(missing)
    sums.insert(0, "payments", groups.size().astype("Int64"))
    return sums.join(_oldest(rows, keys)).reset_index()


def _by_id(rows: pd.DataFrame) -> pd.DataFrame:
    """Add up the payments of each payout."""
    keys = ["currency", "payout_id"]
    times = rows.groupby(keys, observed=True, dropna=False)["payout_at"].max().reset_index()
    table = times.merge(totals(rows, keys), on=keys)
    return table.sort_values(["currency", "payout_at", "payout_id"], ignore_index=True)


def with_ages(rows: pd.DataFrame, as_of: pd.Timestamp, tz: str) -> pd.DataFrame:
    """Add the age in days, and the net amount in the column of `AGES` that the age is in."""
    rows = rows.assign(age=_ages(rows["paid_at"], as_of, tz))
    for name, (first, last) in AGES.items():
        within = rows["age"].between(first, last).fillna(False).astype(bool)
        rows[name] = rows["net_cents"].where(within, 0)
    return rows


def _ages(times: pd.Series[Any], as_of: pd.Timestamp, tz: str) -> pd.Series[Any]:
    """Return the age of payments in calendar days, counted to the last day before *as_of*."""
    calendar = Calendar(as_of, tz)
    days = calendar.local(times).dt.normalize()
    ages: pd.Series[Any] = (calendar.last_day - days).dt.days.astype("Int64").clip(lower=0)
    return ages


def _oldest(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the oldest payment of each group."""
    first = rows.drop_duplicates(keys)  # the rows of a ledger are in order of time and id
    first = first.set_index(keys)[["age", "paid_at", "payment_id"]]
    first.columns = pd.Index(["oldest_days", "oldest_paid_at", "oldest_payment_id"])
    return first
