"""Rows of a ledger as sales and refunds, and their sums."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from cpsl_notebook.earnings.ledger.column_values import are_negative
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.overflow import check_sums
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.payment_columns import AMOUNT_COLUMNS as AMOUNTS

__all__ = [
    "AMOUNTS",
    "amount_of",
    "check_unique",
    "entries",
    "groups_of",
    "recurring_sales",
    "totals",
]

_PERSON = ("app", "payer", "currency")
_BASES = {"gross": "gross_cents", "net": "net_cents"}


def entries(ledger: Ledger) -> pd.DataFrame:
    """Return the rows of a ledger with a column ``refund``.

    Parameters
    ----------
    ledger : Ledger
        The payments.

    Returns
    -------
    pandas.DataFrame
        ``ledger.rows`` and ``refund`` (bool), true for rows of that kind or with a negative amount.
        A refund may have no time.

    Raises
    ------
    cpsl_notebook.UserError
        If a sale has no time, or rows share an id.
    """
    rows = ledger.rows
    check_unique(ledger)
    # A refund of an unknown amount has the id of its payment.
    named = rows["gross_cents"].isna() & rows["refund_of"].notna()
    negative = are_negative(rows["gross_cents"])
    rows = rows.assign(refund=negative | named | (rows["kind"] == "refund"))
    undated = rows.loc[rows["paid_at"].isna() & ~rows["refund"], "payment_id"]
    if len(undated):
        raise UserError(
            f"Payments without a readable time: {len(undated):,}, for example {undated.iloc[0]}. "
            "Correct the time, or leave those rows out."
        )
    return rows


def check_unique(ledger: Ledger) -> None:
    """Raise an error if a payment or a refund occurs more than once."""
    again = ledger.repeated
    if again.empty:
        return
    columns = [
        ledger.columns.get(role, name) for role, name in (("app", "app"), ("id", "payment_id"))
    ]
    count = len(again)
    raise UserError(
        f"{count:,} {'row has' if count == 1 else 'rows have'} the id of another payment of the app "
        f"and would count twice, for example {again['payment_id'].iloc[0]}. Drop them with payments = "
        f"payments[~payments.duplicated({columns})]. If these are not ids of payments, use "
        'payments.capsule.declare(roles={"id": None}).'
    )


def recurring_sales(ledger: Ledger, what: str, basis: str = "gross") -> pd.DataFrame:
    """Return the payments of plans, without refunds and purchases.

    Parameters
    ----------
    ledger : Ledger
        The payments, with the whole history.
    what : str
        Name of the analysis, such as ``"mrr"``, for error messages.
    basis : {"gross", "net"}, default "gross"
        Amount that every payment must have, besides the gross amount.

    Returns
    -------
    pandas.DataFrame
        The rows, with ``months`` (int), for which the payment pays, and ``refunded_at``, when the
        whole payment was refunded. If the payer of a subscription was unknown at first, ``payer`` has
        the subscription.

    Raises
    ------
    cpsl_notebook.UserError
        If the ledger was cut or lacks rows or a column, the months of a kind are unknown, or an
        amount is missing.
    """
    ledger.need(what, "payer", "kind", "gross_cents", f"{basis}_cents", whole=True)
    every = entries(ledger)
    rows = every[~every["refund"]].drop(columns="refund")
    other = rows["kind"][~rows["kind"].isin(list(ledger.terms))]
    if len(other):
        raise UserError(
            f"{what}() needs to know for how many months each kind pays, and the payments have other "
            f"kinds than {', '.join(ledger.terms)}: {_counts(other)}. State it with payments = "
            'payments.capsule.declare(kinds={"KIND": MONTHS}), with 0 for a purchase.'
        )
    months = np.array([ledger.terms.get(kind, 0) for kind in rows["kind"].cat.categories], np.int64)
    rows = rows.assign(months=months[rows["kind"].cat.codes])
    rows = rows[rows["months"] > 0]
    amounts = ["gross_cents", f"{basis}_cents"]
    empty = rows.loc[rows[amounts].isna().any(axis=1), "payment_id"]
    if len(empty):
        unread = [
            f" ({name} cannot be read, {ledger.unread[name]})"
            for name in amounts
            if name in ledger.unread
        ]
        raise UserError(
            f"{what}() needs the amount of every payment of a plan. Payments without one in whole "
            f"cents: {len(empty):,}, for example {empty.iloc[0]}{''.join(unread[:1])}. Correct the "
            "amounts, or leave those rows out."
        )
    refunded_at = _refund_times(rows, every[every["refund"]], ledger)
    return rows.assign(refunded_at=refunded_at, payer=_owners(rows))


def _owners(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the payers of plans: one for each subscription, named after it if it had none at first."""
    payer = rows["payer"]
    is_named = rows["subscription"].notna()
    if not (payer.isna() & is_named).any():
        return payer
    named = rows[is_named]
    first = named.drop_duplicates(["app", "subscription"])
    unknown = first.loc[first["payer"].isna(), ["app", "subscription"]].assign(unknown=True)
    joined = named[["app", "subscription"]].merge(unknown, on=["app", "subscription"], how="left")
    replaced = named.index[joined["unknown"].notna()]
    owners = payer.copy()
    owners[replaced] = rows.loc[replaced, "subscription"]
    return owners


def _refund_times(rows: pd.DataFrame, refunds: pd.DataFrame, ledger: Ledger) -> pd.Series[Any]:
    """Return when each payment for several months was refunded in full, missing for the others.

    A refund that names no payment counts for the last one of the same payer, app and amount. A refund
    at an unknown time counts from the time of reading.
    """
    times = pd.Series(pd.NaT, rows.index, dtype="datetime64[us, UTC]")
    long = rows[rows["months"] > 1]
    refunds = refunds[refunds["gross_cents"].notna()]
    if ledger.in_past:
        refunds = refunds[refunds["paid_at"].notna()]
    if long.empty or refunds.empty:
        return times
    refunds = refunds.assign(
        paid_at=refunds["paid_at"].fillna(ledger.as_of - pd.Timedelta(1, "us"))
    )
    by_id: dict[Any, Any] = {}
    by_amount: defaultdict[Any, list[Any]] = defaultdict(list)
    for row, app, payer, currency, payment, cents in zip(
        long.index, *(long[name] for name in (*_PERSON, "payment_id", "gross_cents")), strict=True
    ):
        by_id[app, payment] = row
        if not pd.isna(payer):
            by_amount[app, str(payer), str(currency), cents].append(row)
    gross = dict(zip(long.index, long["gross_cents"].astype(int), strict=True))
    sums: defaultdict[Any, int] = defaultdict(int)
    refunds = refunds.sort_values(["paid_at", "payment_id"], kind="stable")
    columns = (*_PERSON, "refund_of", "gross_cents", "paid_at")
    for app, payer, currency, payment, cents, time in zip(
        *(refunds[name] for name in columns), strict=True
    ):
        if pd.isna(payment):
            alike = by_amount.get((app, str(payer), str(currency), -cents), [])
            row = next((row for row in reversed(alike) if long.at[row, "paid_at"] <= time), None)
        else:
            row = by_id.get((app, payment))
        if row is not None:
            sums[row] -= int(cents)
            if sums[row] >= gross[row] and pd.isna(times[row]):
                times[row] = time
    return times


def totals(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Add up sales and refunds by groups.

    Parameters
    ----------
    rows : pandas.DataFrame
        What `entries` returned, with the key columns.
    keys : list of str
        Columns to group by.

    Returns
    -------
    pandas.DataFrame
        The keys and, as ``Int64``, ``payments`` (number of sales), ``gross_cents`` (of sales),
        ``refunds_cents``, ``fee_cents`` and ``net_cents`` (of both). ``gross_cents + refunds_cents
        - fee_cents`` equals ``net_cents`` if it does in every row. A sum is missing if one of its
        values is.

    Raises
    ------
    cpsl_notebook.UserError
        If a sum is beyond 64 bits.
    """
    sale = ~rows["refund"]
    parts = pd.DataFrame(
        {
            "payments": sale.astype("Int64"),
            "gross_cents": rows["gross_cents"].where(sale, 0),
            "refunds_cents": rows["gross_cents"].where(rows["refund"], 0),
            "fee_cents": rows["fee_cents"],
            "net_cents": rows["net_cents"],
        }
    ).astype("Int64")
    by = [rows[key] for key in keys]
    check_sums(parts, by)
    sums = parts.groupby(by, observed=True, dropna=False).sum()
    if parts.isna().to_numpy().any():
        incomplete = parts.isna().groupby(by, observed=True, dropna=False).any()
        sums = sums.mask(incomplete)
    return sums.reset_index()


def groups_of(unit: str) -> list[str]:
    """Return the columns within which a payer is counted once."""
    if unit not in ("app", "payer"):
        raise UserError(f'unit must be "app" or "payer", not {unit!r}.')
    return ["app", "currency"] if unit == "app" else ["currency"]


def amount_of(basis: str) -> str:
    """Return the amount column of a basis, ``"gross"`` or ``"net"``."""
    if basis not in _BASES:
        raise UserError(f'basis must be "gross" or "net", not {basis!r}.')
    return _BASES[basis]


def _counts(values: pd.Series) -> str:
    """Return the distinct values and how often each occurs, as text."""
    counts = values.astype(object).where(values.notna(), "(missing)").value_counts().sort_index()
    return ", ".join(f"{value} ({count:,})" for value, count in counts.items())
