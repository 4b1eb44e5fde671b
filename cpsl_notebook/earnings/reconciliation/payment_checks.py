"""The checks of a reconciliation that use the payments alone.

Each check takes a ledger and returns its findings, one row per payment, with any of the columns
``app, payment_id, paid_at, expected_cents, found_cents, finding``. It raises `CannotRunError` if the
payments lack a column that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.calendar import PROVISIONAL_DAYS
from cpsl_notebook.earnings.ledger.column_values import are_negative, are_positive
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.transactions import AMOUNTS

__all__ = ["PAYMENT_CHECKS", "CannotRunError"]

_PAYMENT = ["app", "payment_id", "paid_at"]
_GRACE = pd.Timedelta(days=PROVISIONAL_DAYS)
_DAY = pd.Timedelta(days=1)


class CannotRunError(Exception):
    """A check lacks data; the message says which."""


def _find_incomplete(ledger: Ledger) -> pd.DataFrame:
    """Find payments that lack an id, a time or an amount that other payments have."""
    rows = ledger.rows
    columns = [name for name in ("payment_id", "paid_at", *AMOUNTS) if name not in ledger.missing]
    return pd.concat(
        [
            rows.loc[rows[name].isna() & ~_is_recorded_refund(rows), _PAYMENT].assign(
                finding=f"no {name}"
            )
            for name in columns
        ]
    )


def _is_recorded_refund(rows: pd.DataFrame) -> pd.Series[bool]:
    """Return whether a row is a refund of which the payment may record neither time nor amount."""
    return rows["refund_of"].notna() & ~are_positive(rows["gross_cents"])


def _find_undated_refunds(ledger: Ledger) -> pd.DataFrame:
    """Find refunds whose time or amount is unknown."""
    rows = ledger.rows[_is_recorded_refund(ledger.rows)]
    undated = rows[rows["paid_at"].isna()].rename(columns={"gross_cents": "found_cents"})
    unpriced = rows.loc[rows["gross_cents"].isna(), _PAYMENT]
    return pd.concat(
        [
            undated[[*_PAYMENT, "found_cents"]].assign(finding="refunded at an unknown time"),
            unpriced.assign(finding="refunded in part, of an unknown amount"),
        ]
    )


def _find_noted(ledger: Ledger, check: str) -> pd.DataFrame:
    """Return the notes of a ledger that belong to a check."""
    noted = [note for note in ledger.notes if note["check"] == check]
    columns = ["app", "payment_id", "finding"]
    return pd.DataFrame([[note[name] for name in columns] for note in noted], columns=columns)  # type: ignore[literal-required]


def _find_wrong_net(ledger: Ledger) -> pd.DataFrame:
    """Find payments whose gross amount minus the fee is not the net amount."""
    _require(ledger, *AMOUNTS, given=True)
    rows = ledger.rows
    expected = rows["gross_cents"] - rows["fee_cents"]
    wrong = expected != rows["net_cents"]
    return _findings(rows, wrong, expected, rows["net_cents"], "gross − fee ≠ net")


def _find_wrong_fees(ledger: Ledger) -> pd.DataFrame:
    """Find sales whose fee differs from a tenth of the gross amount by a cent or more."""
    _require(ledger, "gross_cents", "fee_cents")
    rows = ledger.rows
    # A tenth of 1,495 cents is 149.5, so both 149 and 150 are right.
    tenth, rest = rows["gross_cents"] // 10, rows["gross_cents"] % 10
    off = (rows["fee_cents"] < tenth) | (rows["fee_cents"] > tenth + (rest > 0).astype("Int64"))
    nearest = tenth + (rest >= 5).astype("Int64")
    wrong = off & are_positive(rows["gross_cents"])
    return _findings(rows, wrong, nearest, rows["fee_cents"], "the fee is not 10 %")


def _find_duplicates(ledger: Ledger) -> pd.DataFrame:
    """Find ids that several rows of an app share."""
    _require(ledger, "payment_id")
    rows = ledger.rows[ledger.rows["payment_id"].notna()]
    again = rows[rows.duplicated(["app", "payment_id"], keep=False)]
    by = again.groupby(["app", "payment_id"], observed=True)["paid_at"]
    findings = by.agg(rows="size", paid_at="max").reset_index()
    return findings.assign(finding=findings["rows"].map("{} rows share this id".format))


def _find_mixed_currencies(ledger: Ledger) -> pd.DataFrame:
    """Count the payments by currency, if they have several currencies or none."""
    _require(ledger, "currency")
    named = ledger.rows["currency"].astype(object).fillna("no currency").astype("string")
    counts = named.groupby([ledger.rows["app"], named], observed=True).size()
    counts.index.names = ["app", "currency"]
    findings = counts.reset_index(name="rows")
    if findings["currency"].nunique() == 1 and findings["currency"].iloc[0] != "no currency":
        findings = findings.iloc[:0]
    counted = [
        f"{count} {'payment' if count == 1 else 'payments'} in {name}"
        for name, count in zip(findings["currency"], findings["rows"], strict=True)
    ]
    return findings.assign(finding=counted)


def _find_payout_mismatches(ledger: Ledger) -> pd.DataFrame:
    """Find payments that are paid out without a payout id, or have one and are not paid out."""
    _require(ledger, "payout_state", "payout_id")
    rows = ledger.rows
    is_out, has_id = rows["payout_state"] == "Paid out", rows["payout_id"].notna()
    without_id = rows.loc[is_out & ~has_id, _PAYMENT]
    not_out = rows.loc[~is_out & has_id, _PAYMENT]
    return pd.concat(
        [
            without_id.assign(finding="paid out, but without a payout id"),
            not_out.assign(finding="has a payout id, but is not paid out"),
        ]
    )


def _find_late_renewals(ledger: Ledger) -> pd.DataFrame:
    """Find renewals more than a month and the days of grace after the last payment, in UTC days."""
    _require(ledger, "payer", "kind")
    rows = ledger.rows[
        (ledger.rows["kind"] == "monthly") & are_positive(ledger.rows["gross_cents"])
    ]
    chains = [rows[name].astype("string").fillna("") for name in ("app", "payer", "subscription")]
    day = rows["paid_at"].dt.normalize()
    before = day.groupby(chains).shift()
    late = (day > before + pd.DateOffset(months=1) + _GRACE) & rows["payer"].notna()
    days = (day - before).dt.days
    findings: pd.DataFrame = rows.loc[late, _PAYMENT]
    return findings.assign(finding=days[late].map("{:.0f} days after the last payment".format))


def _find_negatives(ledger: Ledger) -> pd.DataFrame:
    """Find negative gross amounts that do not name the payment which they refund."""
    rows = ledger.rows[ledger.rows["refund_of"].isna()]
    findings = rows.loc[are_negative(rows["gross_cents"]), [*_PAYMENT, "gross_cents"]]
    return findings.rename(columns={"gross_cents": "found_cents"}).assign(
        finding="negative amount, probably a refund"
    )


def _find_repeated(ledger: Ledger) -> pd.DataFrame:
    """Find payments with the same payer and amount within a day."""
    _require(ledger, "payer")
    rows = ledger.rows[are_positive(ledger.rows["gross_cents"]) & ledger.rows["payer"].notna()]
    same = ["app", "payer", "currency", "gross_cents"]
    before = rows.groupby(same, observed=True)["paid_at"].shift()
    soon = rows["paid_at"] - before <= _DAY
    return _findings(rows, soon, None, rows["gross_cents"], "same payer and amount within a day")


PAYMENT_CHECKS: dict[str, tuple[str, Callable[[Ledger], pd.DataFrame]]] = {
    "complete": ("error", _find_incomplete),
    "net": ("error", _find_wrong_net),
    "fee": ("error", _find_wrong_fees),
    "duplicates": ("error", _find_duplicates),
    "currencies": ("error", _find_mixed_currencies),
    "payout ids": ("information", _find_payout_mismatches),
    "renewals": ("information", _find_late_renewals),
    "negatives": ("information", _find_negatives),
    "repeated": ("information", _find_repeated),
    "refunds": ("information", _find_undated_refunds),
    "dates": ("error", partial(_find_noted, check="dates")),
    "payers": ("information", partial(_find_noted, check="payers")),
    "left out": ("information", partial(_find_noted, check="left out")),
}
"""Severity of the findings and function of each check, by the name of the check."""


def _require(ledger: Ledger, *columns: str, given: bool = False) -> None:
    for name in columns:
        if name in ledger.missing:
            raise CannotRunError(f"the payments have no {name}")
        if given and name in ledger.derived:
            raise CannotRunError(f"the payments have no {name}; it was derived from the others")


def _findings(
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
