"""Payouts: what has been earned and not been paid out, and for how long."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.dates import zone
from cpsl_notebook.earnings.ledger.ledger import Ledger

__all__ = ["payouts"]

_PAID_OUT, _PAID_OUT_LATER = "Paid out", "Paid out later"
_UNKNOWN = "Unknown"
_AGES = {
    "days_0_7_cents": (0, 7),
    "days_8_30_cents": (8, 30),
    "days_31_90_cents": (31, 90),
    "days_over_90_cents": (91, math.inf),
}


def payouts(ledger: Ledger, *, tz: str = "UTC") -> pd.DataFrame:
    """Add up what is not paid out; `cpsl_notebook.earnings.closing` tells of it."""
    ledger.need("payouts", "payout_state", "net_cents")
    state = _states(ledger)
    rows = ledger.rows.assign(payout_state=state)[state != _PAID_OUT]
    rows["age"] = _ages(rows["paid_at"], ledger.as_of, tz)
    for name, (first, last) in _AGES.items():
        within = rows["age"].between(first, last).fillna(False).astype(bool)
        rows[name] = rows["net_cents"].where(within, 0)
    by = ["app", "currency", "payout_state"]
    groups = rows.groupby(by, observed=True, dropna=False)
    holes = rows["net_cents"].isna().groupby([rows[name] for name in by], observed=True).any()
    sums = groups[["net_cents", *_AGES]].sum().mask(holes)
    sums.insert(0, "payments", groups.size().astype("Int64"))
    return sums.join(_oldest(rows, by)).reset_index()


def _states(ledger: Ledger) -> pd.Series[Any]:
    """Return the payout states as of the ledger's moment, as text."""
    state = ledger.rows["payout_state"].astype("string").fillna(_UNKNOWN)
    later = (ledger.rows["payout_at"] >= ledger.as_of).fillna(False).astype(bool)
    return state.mask(later & (state == _PAID_OUT), _PAID_OUT_LATER)


def _ages(times: pd.Series[Any], as_of: pd.Timestamp, tz: str) -> pd.Series[Any]:
    """Count calendar days up to the day that *as_of* ends or is in."""
    there = zone(tz)
    today = (as_of - pd.Timedelta(1, "us")).tz_convert(there).tz_localize(None).normalize()
    days = times.dt.tz_convert(there).dt.tz_localize(None).dt.normalize()
    ages: pd.Series[Any] = (today - days).dt.days.astype("Int64").clip(lower=0)
    return ages


def _oldest(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the oldest payment of each group."""
    first = rows.sort_values(["paid_at", "payment_id"]).drop_duplicates(by)
    first = first.set_index(by)[["age", "paid_at", "payment_id"]]
    first.columns = pd.Index(["oldest_days", "oldest_paid_at", "oldest_payment_id"])
    return first
