"""How every answer comes back: tidy, with its moment shown, in cents or in exact decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.ledger import Ledger

__all__ = ["result"]

_SUFFIX = "_cents"


class _Answer(pd.DataFrame):
    """A table that says its moment also where it has no rows, in whose text pandas shows no corner.

    What is made from it is a plain DataFrame.
    """

    def __repr__(self) -> str:
        text: str = super().__repr__()
        if not self.empty:
            return text
        return f"{text.replace(type(self).__name__, 'DataFrame', 1)}\n{self.columns.name}"


def result(
    frame: pd.DataFrame, ledger: Ledger, *, money: bool = False, note: str = ""
) -> pd.DataFrame:
    """Return an answer as the user gets it.

    The moment for which it holds stands in the corner of the table, as the name of its columns, and
    in ``attrs["as_of"]`` in ISO 8601.

    Parameters
    ----------
    frame
        The answer, with amounts in columns of ``Int64`` cents whose names end in ``_cents``.
    ledger
        What it follows from.
    money
        Whether to turn the cents into exact decimals in currency, under names without ``_cents``.
    note
        What else to say in the corner.

    Examples
    --------
    >>> ledger = Ledger(pd.DataFrame(), pd.Timestamp("2026-11-01", tz="UTC"))
    >>> result(pd.DataFrame({"net_cents": pd.array([1350], "Int64")}), ledger, money=True)
    as of 2026-11-01 00:00 UTC    net
    0                           13.50
    """
    answer = _Answer(frame)
    if money:
        names = [name for name in frame.columns if str(name).endswith(_SUFFIX)]
        for name in names:
            answer[name] = in_currency(answer[name])
        answer = _Answer(
            answer.rename(columns={name: name.removesuffix(_SUFFIX) for name in names})
        )
    said = f"as of {ledger.as_of:%Y-%m-%d %H:%M} UTC"
    answer.columns.name = f"{note}, {said}" if note else said
    answer.attrs = {"as_of": ledger.as_of.isoformat()}
    return answer


def in_currency(cents: pd.Series[Any]) -> pd.Series[Any]:
    """Return cents as decimals with two places; what is missing is ``None``."""
    amounts = [None if pd.isna(value) else Decimal(int(value)).scaleb(-2) for value in cents]
    return pd.Series(amounts, index=cents.index, dtype=object, name=cents.name)
