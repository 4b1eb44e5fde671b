"""Values that do not fit the type of their column, kept as JSON text in the column ``_unparsed``.

Unlike dicts, text can be saved to Parquet and CSV and used by polars and DuckDB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cpsl_notebook.frames.column_types import STRING
from cpsl_notebook.frames.payment_columns import UNPARSED

__all__ = ["unparsed_column", "unparsed_fields"]


def unparsed_column(fields: Mapping[int, Mapping[str, Any]], length: int) -> pd.Series[Any]:
    """Return the column for values that do not fit.

    Parameters
    ----------
    fields : mapping of int to mapping
        Values by field, by row.
    length : int
        Number of rows.

    Returns
    -------
    pandas.Series
        JSON objects as strings; missing in the other rows.

    Examples
    --------
    >>> unparsed_column({1: {"gross_cents": "n/a"}}, 2).tolist()
    [<NA>, '{"gross_cents": "n/a"}']
    """
    texts = [
        json.dumps(fields[row], sort_keys=True) if row in fields else None for row in range(length)
    ]
    return pd.Series(texts, dtype=STRING)


def unparsed_fields(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the values that do not fit, by field, for each row of a frame that has any."""
    if UNPARSED not in frame:
        return []
    return [json.loads(text) for text in frame[UNPARSED].dropna()]
