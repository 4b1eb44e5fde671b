"""Refunds that a payment records in its own fields, as rows of a ledger.

Some services do not send a refund as a payment of its own. They change the status of the payment to
``refunded``, or set an amount such as ``amount_refunded``, a mark such as ``refunded``, a mark such
as ``disputed``, or a list such as ``refunds``. In a ledger, each of them is a row with negative
amounts:

- The amount is the refunded one, or the whole payment if only a mark says so. If a payment is only
  marked as partially refunded, the amounts of the refund are missing.
- Each refund in a list is a row, except those that failed or are pending. If the payment also records
  a refunded amount that is higher than their sum, the rest is one more row.
- A disputed payment counts as refunded until the dispute is won.
- Separate refunds count first: those that name the payment, and those of the same payer and app that
  name none. Only what exceeds them becomes a row.
- The fee is returned in proportion. If the net amount of the payment already lacks the refund, the
  fee does too, so the row has no fee.
- Without a time of the refund, the row has no ``paid_at``.
- A payment that may have been refunded in another way is an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.column_values import are_negative, are_positive, key
from cpsl_notebook.earnings.ledger.refund_columns import NO_DISPUTE, check_hints
from cpsl_notebook.frames.payment_columns import AMOUNT_COLUMNS

__all__ = ["add_refund_rows"]

_FULL = {"refunded", "fullyrefunded", "full", "fully", "complete", "true", "yes"}
_PARTIAL = {"partiallyrefunded", "partialrefund", "partial", "partially"}


def add_refund_rows(
    rows: pd.DataFrame,
    columns: Mapping[str, pd.Series[Any]],
    parts: pd.DataFrame | None = None,
    hints: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Add a row for each refund that a payment records in its own fields.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns of a ledger, one row per payment. Separate refunds are negative.
    columns : mapping of str to pandas.Series
        Columns on an index that has the rows: ``refunded`` (amounts in cents), ``refund_status``
        and ``dispute`` (marks as text), ``refund_time``. Each of them may be absent.
    parts : pandas.DataFrame, optional
        Refunds in lists, as `cpsl_notebook.earnings.ledger.refund_columns.listed_refunds` returns
        them.
    hints : pandas.DataFrame, optional
        Other columns that may indicate refunds, as
        `cpsl_notebook.earnings.ledger.refund_columns.refund_hints` returns them.

    Returns
    -------
    pandas.DataFrame
        The rows, and after them the refunds. A payment that is refunded has the payment status
        ``paid``, so that the refund is not found again.

    Raises
    ------
    cpsl_notebook.UserError
        If a hint has a value for a sale of which no refund is known.
    """
    columns = {role: values[rows.index] for role, values in columns.items()}
    parts = _of_rows(rows, parts)
    full, partial = (_marked(rows["payment_status"], marks) for marks in (_FULL, _PARTIAL))
    if "refund_status" in columns:
        status = columns["refund_status"]
        full, partial = full | _marked(status, _FULL), partial | _marked(status, _PARTIAL)
    amount = _refunded_amounts(rows, columns, full, parts)
    partial |= rows.index.isin(parts["row"])
    is_sale = are_positive(rows["gross_cents"])
    found = rows.index[is_sale & (amount.notna() | partial)]
    if hints is not None:
        check_hints(rows, found, hints)
    rows = _with_status_paid(rows, full | partial)
    if found.empty:
        return rows
    rest = _not_separate(rows, rows.loc[found], amount[found])
    made = _split(rows.loc[found], rest, amount, parts)
    return _with_rows(rows, made, amount, columns.get("refund_time"))


def _refunded_amounts(
    rows: pd.DataFrame,
    columns: Mapping[str, pd.Series[Any]],
    full: pd.Series[bool],
    parts: pd.DataFrame,
) -> pd.Series[Any]:
    """Return how much of each payment was refunded; missing for nothing or an unknown amount."""
    amount = pd.Series(pd.NA, rows.index, dtype="Int64")
    if "refunded" in columns:
        amount = columns["refunded"].abs().where(columns["refunded"] != 0)
    amount = amount.fillna(rows["gross_cents"].where(full))
    if "dispute" in columns:
        disputed = columns["dispute"].notna() & ~_marked(columns["dispute"], NO_DISPUTE)
        amount = amount.mask(disputed, rows["gross_cents"])
    if parts.empty:
        return amount
    of_payment = parts.groupby("row")["cents"]
    sums = of_payment.sum().mask(of_payment.count() < of_payment.size()).reindex(rows.index)
    is_more = (sums > amount).fillna(amount.isna()).astype(bool)
    return amount.mask(is_more, sums)


def _with_rows(
    rows: pd.DataFrame, made: pd.DataFrame, amount: pd.Series[Any], time: pd.Series[Any] | None
) -> pd.DataFrame:
    """Return the rows and the refunds that `_split` found."""
    if made.empty:
        return rows
    rows, refunds = rows.copy(), rows.loc[made["row"].to_numpy()].copy()
    made = made.set_axis(refunds.index)
    fee = made["fee"].mask(_includes_refund(refunds, amount), 0)
    payments = refunds.index.unique()
    rows.loc[payments, "net_cents"] = _net_before_refund(rows.loc[payments], amount)
    gross = -made["cents"]
    refunds[list(AMOUNT_COLUMNS)] = pd.concat([gross, -fee, gross + fee], axis=1)
    unknown = pd.Series(pd.NaT, refunds.index, dtype=rows["paid_at"].dtype)
    refunds["paid_at"] = made["time"].fillna(unknown if time is None else time[refunds.index])
    refunds["refund_of"] = refunds["payment_id"]
    number = made["id"].isna().groupby(made["row"]).cumsum().astype("string")
    suffix = "/refund" + ("-" + number).mask(number == "1", "")
    refunds["payment_id"] = made["id"].fillna(refunds["payment_id"] + suffix)
    # Whether a refund of a payment that was paid out has been deducted is unknown.
    refunds["payout_state"] = refunds["payout_state"].mask(refunds["payout_state"] == "Paid out")
    refunds["payout_id"], refunds["payout_at"] = pd.NA, unknown
    refunds = refunds[rows.columns].astype(rows.dtypes)
    return pd.concat([rows, refunds], ignore_index=True)


def _of_rows(rows: pd.DataFrame, parts: pd.DataFrame | None) -> pd.DataFrame:
    """Return the refunds in lists that belong to rows, first those with a row of their own."""
    if parts is None:
        return pd.DataFrame({"row": [], "cents": pd.array([], "Int64"), "time": [], "id": []})
    parts = parts[parts["row"].isin(rows.index)]
    is_refund = are_negative(rows["gross_cents"])
    own = pd.MultiIndex.from_frame(rows.loc[is_refund, ["app", "payment_id"]].astype("string"))
    apps = rows.loc[parts["row"], "app"].astype("string")
    is_own = pd.MultiIndex.from_arrays([apps, parts["id"].astype("string")]).isin(own)
    return pd.concat([parts[is_own], parts[~is_own]])


def _split(
    payments: pd.DataFrame, rest: pd.Series[Any], amount: pd.Series[Any], parts: pd.DataFrame
) -> pd.DataFrame:
    """Return the refunds of each payment that no separate refund accounts for.

    The separate refunds account for the oldest ones in a list.

    Returns ``row``, ``cents``, ``fee``, ``time`` and ``id``. The fees of the refunds of a payment add
    up to its share for all of them.
    """
    names = ["cents", "time", "id"]
    own: dict[Any, list[tuple[Any, ...]]] = {
        row: list(zip(*(group[name].astype(object) for name in names), strict=True))
        for row, group in parts.groupby("row")
    }
    made: list[tuple[Any, Any, Any, Any, Any]] = []
    for row, gross, fee in zip(
        payments.index,
        *(payments[name].astype(object) for name in ("gross_cents", "fee_cents")),
        strict=True,
    ):
        left, whole = rest[row], amount[row]
        known = [part for part in own.get(row, []) if part[0] is not pd.NA]
        if left is pd.NA:
            unknown = [part for part in own.get(row, []) if part[0] is pd.NA]
            made += [(row, pd.NA, pd.NA, *part[1:]) for part in unknown or [(pd.NA, pd.NaT, pd.NA)]]
            covered = 0
        elif pd.isna(whole):
            continue
        else:
            covered = whole - left
            known.append((whole - sum(part[0] for part in known), pd.NaT, pd.NA))
        reached = 0
        for part, time, name in known:
            low, reached = max(reached, covered), reached + part
            if reached > low:
                returned = _share(fee, reached, gross) - _share(fee, low, gross)
                made.append((row, reached - low, returned, time, name))
    table = pd.DataFrame(made, columns=["row", "cents", "fee", "time", "id"])
    return table.astype({"cents": "Int64", "fee": "Int64", "id": "string"}).assign(
        time=pd.to_datetime(table["time"], utc=True).astype("datetime64[us, UTC]")
    )


def _marked(column: pd.Series[Any], spellings: set[str]) -> pd.Series[bool]:
    """Return whether the values, as text without case and punctuation, are among the spellings."""
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    values = column if is_category else column.astype("string").astype("category")
    known = [value for value in values.cat.categories if key(value) in spellings]
    return values.isin(known)


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
    separate = rows[are_negative(rows["gross_cents"])]
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


def _share(fee: Any, part: Any, whole: Any) -> Any:
    """Return the part of a fee in proportion, rounded half up."""
    if pd.isna(fee) or pd.isna(part):
        return pd.NA
    return (2 * int(fee) * int(part) + int(whole)) // (2 * int(whole))
