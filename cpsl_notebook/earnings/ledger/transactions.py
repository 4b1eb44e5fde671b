"""Rows of a ledger as sales and refunds, and their sums."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.schema import AMOUNT_COLUMNS as AMOUNTS

__all__ = ["AMOUNTS", "amount_of", "entries", "groups_of", "monthly_sales", "totals"]

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

    Raises
    ------
    cpsl_notebook.UserError
        If a payment has no time.
    """
    rows = ledger.rows
    undated = rows.loc[rows["paid_at"].isna(), "payment_id"]
    if len(undated):
        raise UserError(
            f"Payments without a readable time: {len(undated):,}, for example {undated.iloc[0]}. "
            "Correct the time, or leave those rows out."
        )
    negative = (rows["gross_cents"] < 0).fillna(False).astype(bool)
    return rows.assign(refund=negative | (rows["kind"] == "refund"))


def monthly_sales(ledger: Ledger, what: str, basis: str = "gross") -> pd.DataFrame:
    """Return the monthly payments of a ledger, without refunds.

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
        The rows. If a payer is missing but the subscription is known, ``payer`` has the
        subscription.

    Raises
    ------
    cpsl_notebook.UserError
        If the ledger was cut or lacks a column, a kind is neither one-time nor monthly, or an
        amount is missing.
    """
    ledger.need(what, "payer", "kind", "gross_cents", f"{basis}_cents", whole=True)
    rows = entries(ledger)
    rows = rows[~rows["refund"]].drop(columns="refund")
    other = rows["kind"][~rows["kind"].isin(["monthly", "one_time"])]
    if len(other):
        raise UserError(
            f"{what}() supports the kinds one_time and monthly, but the payments have other kinds: "
            f"{_counts(other)}. Leave those rows out."
        )
    rows = rows[rows["kind"] == "monthly"]
    amounts = ["gross_cents", f"{basis}_cents"]
    empty = rows.loc[rows[amounts].isna().any(axis=1), "payment_id"]
    if len(empty):
        raise UserError(
            f"{what}() needs the amount of every monthly payment. Payments without one: "
            f"{len(empty):,}, for example {empty.iloc[0]}. Correct the amounts, or leave those rows "
            "out."
        )
    return rows.assign(payer=rows["payer"].fillna(rows["subscription"]))


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
