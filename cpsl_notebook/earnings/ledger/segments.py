"""Segments: values of any column of the payments, by which a result is separated further."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from cpsl_notebook.earnings.ledger.ledger import Ledger
from cpsl_notebook.earnings.ledger.lost_types import listed
from cpsl_notebook.errors import UserError, shown

__all__ = ["SEGMENT", "name_segments", "segment_columns", "segments"]

SEGMENT = "segment"
"""Column of a ledger with the segment of each payment."""


def segments(frame: pd.DataFrame, by: Hashable) -> pd.Series[Any]:
    """Return the segment of each payment, on a default index.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments, one per row.
    by : hashable
        Column of the payments.

    Returns
    -------
    pandas.Series
        The values of the column.

    Raises
    ------
    cpsl_notebook.UserError
        If the column does not exist, or its values are lists or dicts.

    Examples
    --------
    >>> segments(pd.DataFrame({"country": ["DE", "FR"]}), "country").tolist()
    ['DE', 'FR']
    """
    if not isinstance(by, Hashable) or by not in frame.columns:
        raise UserError(
            f"The payments have no column {shown(by)}. Columns: {listed(frame.columns)}."
        )
    column: pd.Series[Any] = frame[by].reset_index(drop=True)
    try:
        column.unique()
    except TypeError:
        raise UserError(
            f"Cannot separate the result by `{by}`: its values are lists or dicts. Choose a column "
            "of single values."
        ) from None
    return column


def segment_columns(ledger: Ledger, *, per_payer: bool = False) -> list[str]:
    """Return the further columns to group a result by: `SEGMENT` if the ledger has it.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    per_payer : bool, default False
        Whether all payments of a payer must be in the same segment.

    Returns
    -------
    list of str
        `SEGMENT`, or an empty list.

    Raises
    ------
    cpsl_notebook.UserError
        If *per_payer* is true and a payer has payments in several segments.
    """
    if SEGMENT not in ledger.rows:
        return []
    if per_payer:
        payer = ledger.rows["payer"].fillna(ledger.rows["subscription"])
        count = ledger.rows.groupby(payer)[SEGMENT].nunique(dropna=False)
        several = count[count > 1]
        if len(several):
            values = ledger.rows.loc[payer == several.index[0], SEGMENT].unique().tolist()
            raise UserError(
                f"by= needs a column with one value per payer. Payers with several: {len(several):,}, "
                f"for example {several.index[0]} with {values}. Choose or add another column, such as "
                "the first value of each payer."
            )
    return [SEGMENT]


def name_segments(table: pd.DataFrame, by: Hashable | None, ledger: Ledger) -> pd.DataFrame:
    """Return a result in which the column `SEGMENT` has the name of the column of the payments."""
    if by is None or by == SEGMENT:
        return table
    if by in table.columns:
        if by in (ledger.columns.get(role) for role in ("app", "currency", "kind")):
            raise UserError(f"The result has rows for each {by} already. Omit by={by!r}.")
        raise UserError(
            f"by={by!r}: the result has another column of that name. Copy the column with "
            f'payments["segment"] = payments[{by!r}], and use by="segment".'
        )
    return table.rename(columns={SEGMENT: by})
