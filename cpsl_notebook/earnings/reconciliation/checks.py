"""The checks of a reconciliation that look at the payments alone.

Each takes a ledger and returns what it found, one row per payment, with any of the columns
``app, payment_id, paid_at, expected_cents, found_cents, finding``; it raises `CannotRunError` where
the payments lack what it looks at.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.ledger import Ledger

__all__ = ["OF_PAYMENTS", "CannotRunError"]

_PAYMENT = ["app", "payment_id", "paid_at"]
_GRACE = pd.Timedelta(days=15)
_DAY = pd.Timedelta(days=1)


class CannotRunError(Exception):
    """A check lacks what it looks at; the message says what."""


def complete(ledger: Ledger) -> pd.DataFrame:
    """Find payments without an id, a time or an amount that others have."""
    columns = ["payment_id", "paid_at", "gross_cents", "fee_cents", "net_cents"]
    columns = [name for name in columns if name not in ledger.missing]
    parts = []
    for name in columns:
        unread = ledger.rows[ledger.rows[name].isna()]
        parts.append(unread[_PAYMENT].assign(finding=f"no {name}"))
    return pd.concat(parts)


def net(ledger: Ledger) -> pd.DataFrame:
    """Find payments whose gross amount less the fee is not the net amount."""
    _look_at(ledger, "gross_cents", "fee_cents", "net_cents", given=True)
    rows = ledger.rows
    expected = rows["gross_cents"] - rows["fee_cents"]
    return _found(
        rows, expected != rows["net_cents"], expected, rows["net_cents"], "gross − fee ≠ net"
    )


def fee(ledger: Ledger) -> pd.DataFrame:
    """Find sales whose fee is off a tenth of the gross amount by a cent or more."""
    _look_at(ledger, "gross_cents", "fee_cents")
    rows = ledger.rows
    # Whole cents only: a tenth of 1,495 is 149 and a half, so both 149 and 150 are right.
    tenth, rest = rows["gross_cents"] // 10, rows["gross_cents"] % 10
    off = (rows["fee_cents"] < tenth) | (rows["fee_cents"] > tenth + (rest > 0).astype("Int64"))
    nearest = tenth + (rest >= 5).astype("Int64")
    return _found(
        rows, off & (rows["gross_cents"] > 0), nearest, rows["fee_cents"], "the fee is not 10 %"
    )


def duplicates(ledger: Ledger) -> pd.DataFrame:
    """Find ids that more than one row of an app bears."""
    _look_at(ledger, "payment_id")
    rows = ledger.rows[ledger.rows["payment_id"].notna()]
    again = rows[rows.duplicated(["app", "payment_id"], keep=False)]
    by = again.groupby(["app", "payment_id"], observed=True)["paid_at"]
    findings = by.agg(rows="size", paid_at="max").reset_index()
    return findings.assign(finding=findings["rows"].map("{} rows bear this id".format))


def currencies(ledger: Ledger) -> pd.DataFrame:
    """Find that payments are in more than one currency, or in none."""
    _look_at(ledger, "currency")
    named = ledger.rows["currency"].astype("string").fillna("no currency")
    counts = named.groupby([ledger.rows["app"], named], observed=True).size()
    counts.index.names = ["app", "currency"]
    findings = counts.reset_index(name="rows")
    if findings["currency"].nunique() == 1 and findings["currency"].iloc[0] != "no currency":
        findings = findings.iloc[:0]
    said = [
        f"{count} payments in {name}"
        for name, count in zip(findings["currency"], findings["rows"], strict=True)
    ]
    return findings.assign(finding=said)


def payout_ids(ledger: Ledger) -> pd.DataFrame:
    """Find payments that are paid out without a payout's id, or have one and are not."""
    _look_at(ledger, "payout_state", "payout_id")
    rows = ledger.rows
    is_out, has_id = rows["payout_state"] == "Paid out", rows["payout_id"].notna()
    without = rows.loc[is_out & ~has_id, _PAYMENT]
    beyond = rows.loc[~is_out & has_id, _PAYMENT]
    return pd.concat(
        [
            without.assign(finding="paid out, but in no payout"),
            beyond.assign(finding="in a payout, but not paid out"),
        ]
    )


def gaps(ledger: Ledger) -> pd.DataFrame:
    """Find renewals later than a month and 15 days, by UTC's calendar, after the payment before."""
    _look_at(ledger, "payer", "kind")
    rows = ledger.rows[(ledger.rows["kind"] == "monthly") & (ledger.rows["gross_cents"] > 0)]
    chains = [rows[name].astype("string").fillna("") for name in ("app", "payer", "subscription")]
    day = rows["paid_at"].dt.normalize()
    before = day.groupby(chains).shift()
    late = (day > before + pd.DateOffset(months=1) + _GRACE) & rows["payer"].notna()
    days = (day - before).dt.days
    findings: pd.DataFrame = rows.loc[late, _PAYMENT]
    return findings.assign(finding=days[late].map("{:.0f} days after the payment before".format))


def negatives(ledger: Ledger) -> pd.DataFrame:
    """Find negative amounts: refunds."""
    rows = ledger.rows
    findings = rows.loc[(rows["gross_cents"] < 0).fillna(False), [*_PAYMENT, "gross_cents"]]
    return findings.rename(columns={"gross_cents": "found_cents"}).assign(
        finding="negative: a refund?"
    )


def repeated(ledger: Ledger) -> pd.DataFrame:
    """Find payments of the same payer and amount within a day."""
    _look_at(ledger, "payer")
    rows = ledger.rows[
        (ledger.rows["gross_cents"] > 0).fillna(False) & ledger.rows["payer"].notna()
    ]
    same = ["app", "payer", "currency", "gross_cents"]
    before = rows.groupby(same, observed=True)["paid_at"].shift()
    soon = rows["paid_at"] - before <= _DAY
    return _found(rows, soon, None, rows["gross_cents"], "the same payer and amount within a day")


OF_PAYMENTS = {
    "complete": ("error", complete),
    "net": ("error", net),
    "fee": ("error", fee),
    "duplicates": ("error", duplicates),
    "currencies": ("error", currencies),
    "payout ids": ("information", payout_ids),
    "renewals": ("information", gaps),
    "negatives": ("information", negatives),
    "repeated": ("information", repeated),
}
"""Name of each check to the severity of what it finds, and the check."""


def _look_at(ledger: Ledger, *columns: str, given: bool = False) -> None:
    for name in columns:
        if name in ledger.missing:
            raise CannotRunError(f"the payments have no {name}")
        if given and name in ledger.derived:
            raise CannotRunError(f"the payments have no {name}; it was reckoned from the others")


def _found(
    rows: pd.DataFrame,
    where: pd.Series[Any],
    expected: pd.Series[Any] | None,
    found: pd.Series[Any],
    finding: str,
) -> pd.DataFrame:
    where = where.fillna(False).astype(bool)
    findings = rows.loc[where, _PAYMENT].assign(found_cents=found[where])
    if expected is not None:
        findings = findings.assign(expected_cents=expected[where])
    return findings.assign(finding=finding)
