"""Which rows of a ledger moved money, and as what: sales, refunds, monthly or one-time."""

from __future__ import annotations

import re

import pandas as pd

from cpsl_notebook.earnings.ledger import Ledger
from cpsl_notebook.errors import UserError

__all__ = ["AMOUNTS", "amount_of", "entries", "groups_of", "monthly_sales", "needs", "totals"]

AMOUNTS = ("gross_cents", "fee_cents", "net_cents")
_BASES = {"gross": "gross_cents", "net": "net_cents"}
_PAID = set(
    "paid succeeded success successful complete completed captured settled confirmed approved "
    "refunded partiallyrefunded refund disputed chargeback".split()
)
_UNPAID = set(
    "unpaid pending processing failed failure declined rejected canceled cancelled voided void "
    "expired incomplete open draft authorized uncollectible".split()
)
_REFUND = {"refund", "refunded", "partialrefund", "chargeback"}
_MONTHLY = {"monthly", "month", "permonth", "monthlysubscription", "subscriptionmonthly"}
_ONE_TIME = {"onetime", "once", "oneoff", "onetimepayment", "onetimepurchase", "single"}


def needs(ledger: Ledger, what: str, *columns: str) -> None:
    """Refuse a ledger whose payments have no field for a column that an answer needs.

    Raises
    ------
    UserError
        One of the columns is missing.
    """
    for column in columns:
        if column in ledger.missing:
            role = column.removesuffix("_cents")
            raise UserError(
                f"{what} needs {column}, and these payments have no field for it: name it, as in "
                f'roles={{"{role}": "the field"}}.'
            )


def entries(ledger: Ledger) -> pd.DataFrame:
    """Return the rows that moved money, with a column ``refund``.

    A payment whose ``payment_status`` says that it failed, or is still to come, moved none. A
    refund is a row of that kind, or with a negative amount.

    Raises
    ------
    UserError
        A ``payment_status`` says neither, or a refund adds money.
    """
    rows = ledger.rows
    if "payment_status" in rows and rows["payment_status"].notna().any():
        words = _words(rows["payment_status"])
        unknown = rows["payment_status"][
            ~words.isin(_PAID | _UNPAID) & rows["payment_status"].notna()
        ]
        if len(unknown):
            raise UserError(
                f"Is a payment paid whose payment_status is {_counts(unknown)}? "
                "Rename these values to paid or failed."
            )
        rows = rows[~words.isin(_UNPAID)]
    refund = _words(rows["kind"]).isin(_REFUND)
    wrong = rows.loc[refund & (rows["gross_cents"] > 0).fillna(False), "payment_id"]
    if len(wrong):
        raise UserError(f"A refund's amounts are negative, and those of {wrong.iloc[0]} are not.")
    return rows.assign(refund=refund | (rows["gross_cents"] < 0).fillna(False).astype(bool))


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
        A kind is neither one-time nor monthly, or an amount is missing.
    """
    needs(ledger, what, "payer", "kind", "gross_cents")
    rows = entries(ledger)
    rows = rows[~rows["refund"]].drop(columns="refund")
    words = _words(rows["kind"])
    other = rows["kind"][~words.isin(_MONTHLY | _ONE_TIME)]
    if len(other):
        raise UserError(
            f"{what} knows the kinds one_time and monthly, and these payments have "
            f"{_counts(other)}: rename them, or leave those rows out."
        )
    rows = rows[words.isin(_MONTHLY)]
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


def _words(values: pd.Series) -> pd.Series:
    """Return each value as letters alone, so that one_time, one-time and oneTime are one."""
    distinct = values.dropna().unique()
    words = {value: re.sub(r"[^a-z]", "", str(value).lower()) for value in distinct}
    return values.astype(object).map(words).fillna("")


def _counts(values: pd.Series) -> str:
    """Name the values and how often each is there."""
    counts = values.astype(object).where(values.notna(), "(missing)").value_counts().sort_index()
    return ", ".join(f"{value} ({count:,})" for value, count in counts.items())
