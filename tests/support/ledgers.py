"""Ledgers that tests write by hand, one line per payment."""

from dataclasses import replace

import pandas as pd
from hypothesis import strategies as st

from cpsl_notebook.earnings.dates import in_utc, moment
from cpsl_notebook.earnings.ledger.ledger import COLUMNS, DETAILS, Ledger


def pay(paid_at, payer="ada", gross=1500, kind="monthly", app="shop", fee=None, **more):
    """Return a payment; the fee is a tenth by default, and a time without a zone is in UTC."""
    fee = gross // 10 if fee is None else fee
    return {
        "paid_at": paid_at,
        "payer": payer,
        "gross_cents": gross,
        "fee_cents": fee,
        "net_cents": gross - fee,
        "kind": kind,
        "app": app,
        "currency": "USD",
        "payout_state": "Paid out",
        "refund_of": None,
        "subscription": None,
    } | more


def monthly(first, months, payer="ada", gross=1500, **more):
    """Return payments one month apart."""
    start = pd.Timestamp(first)
    return [
        pay(start + pd.DateOffset(months=month), payer, gross, **more) for month in range(months)
    ]


def buy(paid_at, payer="ada", gross=4900, **more):
    """Return a one-time payment."""
    return pay(paid_at, payer, gross, "one_time", **more)


def ledger(*payments, as_of="2027-01-01", cut="", missing=()):
    """Return a ledger of payments in order of time, as of the end of a day."""
    frame = pd.DataFrame(list(payments), columns=list(COLUMNS | DETAILS), dtype=object)
    known = frame["payment_id"].notna()
    frame["payment_id"] = frame["payment_id"].where(known, [f"p{i}" for i in range(len(frame))])
    for name, dtype in (COLUMNS | DETAILS).items():
        if "datetime" in dtype:
            times = [pd.NaT if pd.isna(t) else in_utc(pd.Timestamp(t), "UTC") for t in frame[name]]
            frame[name] = pd.Series(times, dtype=dtype)
        else:
            frame[name] = frame[name].astype(dtype)
    rows = frame.sort_values(["paid_at", "payment_id"], ignore_index=True)
    reasons = dict.fromkeys(missing, "no field")
    known = Ledger(rows, moment(as_of), cut, frozenset(missing), reasons=reasons)
    return at(known, as_of)


def at(known, as_of, tz="UTC"):
    """Return a ledger as it was at an earlier moment."""
    then = moment(as_of, tz)
    rows = known.rows[~(known.rows["paid_at"] >= then)].reset_index(drop=True)
    return replace(known, rows=rows, as_of=then, in_past=False)


def column(frame, name, **only):
    """Return the values of a column as Python objects, with None for missing ones."""
    for key, value in only.items():
        frame = frame[frame[key] == value]
    return [None if pd.isna(value) else value for value in frame[name].tolist()]


def by_month(frame, name, **only):
    """Return the non-zero values of a column by month."""
    for key, value in only.items():
        frame = frame[frame[key] == value]
    label = "month" if "month" in frame else "period"
    months = frame[label].dt.strftime("%Y-%m")
    return {month: value for month, value in zip(months, frame[name], strict=True) if value}


FIRST_DAY = pd.Timestamp("2024-01-25")
_payments = st.builds(
    lambda day, payer, gross, app, kind, subscription: pay(
        FIRST_DAY + pd.Timedelta(days=day), payer, gross, kind, app, subscription=subscription
    ),
    st.integers(0, 300) | st.integers(0, 8).map(lambda month: month * 30),
    st.sampled_from(["ada", "bo"]),
    st.sampled_from([1500, 2500, 2**53 + 1, -700]),
    st.sampled_from(["shop", "school"]),
    st.sampled_from(["monthly", "monthly", "one_time"]),
    st.sampled_from([None, None, "a"]),
)
random_payments = st.lists(_payments, max_size=14)
