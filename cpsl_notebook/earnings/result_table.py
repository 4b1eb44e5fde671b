"""The common form of results: amounts in cents or in currency, and the moment they hold for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.arguments import check_flag
from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.notes import left_out
from cpsl_notebook.earnings.minor_units import exponent

__all__ = ["answer", "result_table"]

_SUFFIX = "_cents"


def result_table(
    table: pd.DataFrame, ledger: Ledger, *, money: bool = False, **attrs: str
) -> pd.DataFrame:
    r"""Convert a computed table to the form that users get.

    Parameters
    ----------
    table : pandas.DataFrame
        Computed table. Amounts are ``Int64`` cents in columns whose names end in ``_cents``, in the
        minor unit of the currency in the column ``currency``.
    ledger : Ledger
        Ledger that the table was computed from.
    money : bool, default False
        Whether to convert the cents to exact decimals in currency, in columns without the
        ``_cents`` suffix.
    \*\*attrs : str
        Further attributes of the result, such as the `answer` that it is.

    Returns
    -------
    pandas.DataFrame
        The table. ``attrs["as_of"]`` is the moment it holds for, in ISO 8601.
        ``attrs["left_out"]`` says which payments were left out, if there are any.

    Examples
    --------
    >>> ledger = Ledger(pd.DataFrame(), pd.Timestamp("2026-11-01", tz="UTC"))
    >>> cents = pd.DataFrame({"net_cents": pd.array([1350], "Int64")})
    >>> table = result_table(cents, ledger, money=True)
    >>> table
         net
    0  13.50
    >>> table.attrs["as_of"]
    '2026-11-01T00:00:00+00:00'
    """
    check_flag("money", money)
    if money:
        names = [name for name in table.columns if name.endswith(_SUFFIX)]
        decimals = [exponent(currency) for currency in table.get("currency", [""] * len(table))]
        table = table.assign(**{name: _in_currency(table[name], decimals) for name in names})
        table = table.rename(columns={name: name.removesuffix(_SUFFIX) for name in names})
    table.attrs = {"as_of": ledger.as_of.isoformat()}
    if left_out(ledger.notes):
        table.attrs["left_out"] = left_out(ledger.notes)
    table.attrs.update(attrs)
    return table


def answer(name: str, **options: str | None) -> str:
    """Return the name and the options of an analysis, as `explain` reads them from a result.

    Examples
    --------
    >>> answer("mrr", unit="app")
    '{"name": "mrr", "unit": "app"}'
    """
    return json.dumps({"name": name} | options)


def _in_currency(cents: pd.Series[Any], decimals: list[int]) -> pd.Series[Any]:
    """Return minor units as decimals in currency; missing values become ``None``."""
    amounts = [
        None if pd.isna(value) else Decimal(int(value)).scaleb(-places)
        for value, places in zip(cents, decimals, strict=True)
    ]
    return pd.Series(amounts, index=cents.index, dtype=object)
