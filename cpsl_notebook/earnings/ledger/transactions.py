"""Which rows of a ledger moved money, and as what: sales, refunds, monthly or one-time."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.errors import UserError

__all__ = ["AMOUNTS", "amount_of", "entries", "groups_of", "monthly_sales", "totals"]

AMOUNTS = ("gross_cents", "fee_cents", "net_cents")
_BASES = {"gross": "gross_cents", "net": "net_cents"}


def entries(ledger: Ledger) -> pd.DataFrame:
    """Return the rows of a ledger, with a column ``refund``: of that kind, or negative.

    Raises
    ------
    UserError
        A payment has no time.
    """
    rows = ledger.rows
    if rows["paid_at"].isna().any():
        undated = rows.loc[rows["paid_at"].isna(), "payment_id"]
        raise UserError(
            f"When was {undated.iloc[0]} paid? {len(undated)} of the payments have no readable "
            "time: mend it in the frame, or leave those rows out."
        )
    negative = (rows["gross_cents"] < 0).fillna(False).astype(bool)
    return rows.assign(refund=negative | (rows["kind"] == "refund"))


def monthly_sales(ledger: Ledger, what: str, basis: str = "gross") -> pd.DataFrame:
    """Return the payments of a monthly kind, without refunds.

    Where a payer is missing but a subscription is known, the subscription stands for the payer.

    Parameters
    ----------
    ledger
        The whole history.
    what
        The answer that they are for, named in an error.
    basis
        ``"net"`` where that amount is needed of every payment, beside the gross one.

    Raises
    ------
    UserError
        The ledger was cut or lacks a field, a kind is neither one-time nor monthly, or an amount is
        missing.
    """
    ledger.need(what, "payer", "kind", "gross_cents", f"{basis}_cents", whole=True)
    rows = entries(ledger)
    rows = rows[~rows["refund"]].drop(columns="refund")
    other = rows["kind"][~rows["kind"].isin(["monthly", "one_time"])]
    if len(other):
        raise UserError(
            f"{what} knows the kinds one_time and monthly, and these payments have "
            f"{_counts(other)}: rename them, or leave those rows out."
        )
    rows = rows[rows["kind"] == "monthly"]
    amounts = ["gross_cents", f"{basis}_cents"]
    empty = rows.loc[rows[amounts].isna().any(axis=1), "payment_id"]
    if len(empty):
        raise UserError(
            f"{what} needs the amount of every monthly payment: {len(empty)} have none, "
            f"{empty.iloc[0]} among them."
        )
    return rows.assign(payer=rows["payer"].fillna(rows["subscription"]))


def totals(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Add up entries by keys: sales and refunds apart, fees and net together.

    ``gross_cents + refunds_cents - fee_cents == net_cents`` where that holds for each row. A sum
    of which a part is missing is missing.

    Returns
    -------
    pandas.DataFrame
        The keys, ``payments``, ``gross_cents``, ``refunds_cents``, ``fee_cents``, ``net_cents``,
        all ``Int64``.
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
        holes = parts.isna().groupby(by, observed=True, dropna=False).any()
        sums = sums.mask(holes)
    return sums.reset_index()


def groups_of(unit: str) -> list[str]:
    """Return the columns that tell apart what is counted once."""
    if unit not in ("app", "payer"):
        raise UserError(f'unit is "app" or "payer", not {unit!r}.')
    return ["app", "currency"] if unit == "app" else ["currency"]


def amount_of(basis: str) -> str:
    """Return the column that counts."""
    if basis not in _BASES:
        raise UserError(f'basis is "gross" or "net", not {basis!r}.')
    return _BASES[basis]


def _counts(values: pd.Series) -> str:
    """Name the values and how often each is there."""
    counts = values.astype(object).where(values.notna(), "(missing)").value_counts().sort_index()
    return ", ".join(f"{value} ({count:,})" for value, count in counts.items())
