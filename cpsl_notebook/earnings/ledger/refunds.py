"""Refunds that a payment records in its own fields, as rows of a ledger.

Some services do not send a refund as a payment of its own. They change the status of the payment to
``refunded``, or set an amount such as ``amount_refunded``, a mark such as ``refunded`` or a mark
such as ``disputed``. In a ledger, each of them is a row with negative amounts:

- The amount is the refunded one, or the whole payment if only a mark says so. If a payment is only
  marked as partially refunded, the amounts of the refund are missing.
- A disputed payment counts as refunded until the dispute is won.
- Separate refunds count first: those that name the payment, and those of the same payer and app that
  name none. Only what exceeds them becomes a row.
- The fee is returned in proportion. If the net amount of the payment already lacks the refund, the
  fee does too, so the row has no fee.
- Without a time of the refund, the row has no ``paid_at``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.column_values import key
from cpsl_notebook.frames.schema import AMOUNT_COLUMNS

__all__ = ["add_refund_rows"]

_FULL = {"refunded", "fullyrefunded", "full", "fully", "complete", "true", "yes"}
_PARTIAL = {"partiallyrefunded", "partialrefund", "partial", "partially"}
_NO_DISPUTE = {"", "false", "no", "none", "won", "closedwon", "reversed", "withdrawn"}


def add_refund_rows(
    rows: pd.DataFrame,
    refunded: pd.Series[Any] | None = None,
    status: pd.Series[Any] | None = None,
    time: pd.Series[Any] | None = None,
    dispute: pd.Series[Any] | None = None,
) -> pd.DataFrame:
    """Add a row for each refund that a payment records in its own fields.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns of a ledger, one row per payment. Separate refunds are negative.
    refunded : pandas.Series, optional
        Refunded amounts in cents.
    status : pandas.Series, optional
        Marks of refunds, as text.
    time : pandas.Series, optional
        Times of the refunds.
    dispute : pandas.Series, optional
        Marks of disputes, as text.

    Returns
    -------
    pandas.DataFrame
        The rows, and after them the refunds. A payment that is refunded has the payment status
        ``paid``, so that the refund is not found again.
    """
    states = {key(state) for state in rows["payment_status"].cat.categories}
    if refunded is status is dispute is None and states.isdisjoint(_FULL | _PARTIAL):
        return rows
    full = _marked(rows["payment_status"], _FULL) | _disputed(dispute, rows.index)
    partial = _marked(rows["payment_status"], _PARTIAL)
    if status is not None:
        full, partial = full | _marked(status, _FULL), partial | _marked(status, _PARTIAL)
    amount = pd.Series(pd.NA, rows.index, dtype="Int64")
    if refunded is not None:
        amount = refunded.abs().where(refunded != 0)
    amount = amount.fillna(rows["gross_cents"].where(full))
    amount = amount.mask(_disputed(dispute, rows.index), rows["gross_cents"])
    is_sale = (rows["gross_cents"] > 0).fillna(False).astype(bool)
    found = rows.index[is_sale & (amount.notna() | partial)]
    rows = _with_status_paid(rows, full | partial)
    if found.empty:
        return rows
    refunds = rows.loc[found].copy()
    refunds["cents"] = _not_separate(rows, refunds, amount[found])
    refunds = refunds[~(refunds["cents"] == 0).fillna(False).astype(bool)]
    rows = rows.copy()
    rows.loc[refunds.index, "net_cents"] = _net_before_refund(refunds, amount)
    for name, values in _amounts(refunds, amount).items():
        refunds[name] = values
    unknown = pd.Series(pd.NaT, refunds.index, dtype=rows["paid_at"].dtype)
    refunds["paid_at"] = unknown if time is None else time[refunds.index]
    refunds["refund_of"] = refunds["payment_id"]
    refunds["payment_id"] = refunds["payment_id"] + "/refund"
    # Whether a refund of a payment that was paid out has been deducted is unknown.
    refunds["payout_state"] = refunds["payout_state"].mask(refunds["payout_state"] == "Paid out")
    refunds["payout_id"], refunds["payout_at"] = pd.NA, unknown
    refunds = refunds[rows.columns].astype(rows.dtypes)
    return pd.concat([rows, refunds], ignore_index=True)


def _marked(column: pd.Series[Any], spellings: set[str]) -> pd.Series[bool]:
    """Return whether the values, as text without case and punctuation, are among the spellings."""
    values = column.astype("string").astype("category")
    known = [value for value in values.cat.categories if key(value) in spellings]
    return values.isin(known)


def _disputed(column: pd.Series[Any] | None, index: pd.Index[Any]) -> pd.Series[bool]:
    """Return whether a payment is disputed and the dispute is not won."""
    if column is None:
        return pd.Series(False, index)
    return column.notna() & ~_marked(column, _NO_DISPUTE)


def _with_status_paid(rows: pd.DataFrame, where: pd.Series[bool]) -> pd.DataFrame:
    status = rows["payment_status"]
    where = where & status.notna()
    if not where.any():
        return rows
    status = status.astype("string").mask(where, "paid").astype("category")
    return rows.assign(payment_status=status)


def _not_separate(
    rows: pd.DataFrame, refunds: pd.DataFrame, amount: pd.Series[Any]
) -> pd.Series[Any]:
    """Return the part of each refunded amount that no separate refund accounts for."""
    separate = rows[(rows["gross_cents"] < 0).fillna(False).astype(bool)]
    named: defaultdict[Any, int] = defaultdict(int)
    unnamed: defaultdict[Any, int] = defaultdict(int)
    person = ("app", "payer", "currency")
    for app, payer, currency, payment, cents in zip(
        *(separate[name].astype(object) for name in (*person, "refund_of", "gross_cents")),
        strict=True,
    ):
        if pd.isna(payment):
            unnamed[app, str(payer), str(currency)] -= cents
        else:
            named[app, payment] -= cents
    rest = []
    order = refunds.sort_values(["paid_at", "payment_id"]).index
    for app, payer, currency, payment, cents in zip(
        *(refunds.loc[order, name].astype(object) for name in (*person, "payment_id")),
        amount[order].astype(object),
        strict=True,
    ):
        own = named.get((app, payment), 0)
        owner = app, str(payer), str(currency)
        if pd.isna(cents):
            rest.append(0 if own or unnamed[owner] else pd.NA)
            unnamed[owner] = 0
            continue
        others = min(unnamed[owner], max(cents - own, 0))
        unnamed[owner] -= others
        rest.append(max(cents - own, 0) - others)
    return pd.Series(rest, order, dtype="Int64").reindex(refunds.index)


def _includes_refund(refunds: pd.DataFrame, amount: pd.Series[Any]) -> pd.Series[bool]:
    """Return whether the net amount of a payment already lacks the refund."""
    before = refunds["gross_cents"] - refunds["fee_cents"]
    after = before - amount[refunds.index]
    return ((refunds["net_cents"] == after) & (after != before)).fillna(False).astype(bool)


def _net_before_refund(refunds: pd.DataFrame, amount: pd.Series[Any]) -> pd.Series[Any]:
    net = refunds["net_cents"]
    return net.mask(_includes_refund(refunds, amount), net + amount[refunds.index])


def _amounts(refunds: pd.DataFrame, amount: pd.Series[Any]) -> dict[str, pd.Series[Any]]:
    """Return gross amount, fee and net amount of the refunds."""
    fees = [
        _share(fee, cents, gross)
        for fee, cents, gross in zip(
            *(refunds[name].astype(object) for name in ("fee_cents", "cents", "gross_cents")),
            strict=True,
        )
    ]
    fee = pd.Series(fees, refunds.index, dtype="Int64")
    fee = fee.mask(_includes_refund(refunds, amount), 0)
    gross = -refunds["cents"]
    return dict(zip(AMOUNT_COLUMNS, (gross, -fee, gross + fee), strict=True))


def _share(fee: Any, part: Any, whole: Any) -> Any:
    """Return the part of a fee in proportion, rounded half up."""
    if pd.isna(fee) or pd.isna(part):
        return pd.NA
    return (2 * int(fee) * int(part) + int(whole)) // (2 * int(whole))
