"""DataFrames with plain types, for libraries that do not know those of pandas."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api import types

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["to_plain"]


def to_plain(self: Earnings) -> pd.DataFrame:
    """Return the payments, or a result, with plain types, for Spark and similar libraries.

    Returns
    -------
    pandas.DataFrame
        The same rows, columns and attributes.

        - Strings and categories are ``object`` columns of str.
        - Integers, ratios and booleans are ``int64``, ``float64`` and ``bool``. With missing values,
          integers and booleans are ``object`` columns, so that they stay exact.
        - Times are as before: ``datetime64[us, UTC]``, or without a zone for periods.
        - Decimals stay. Other values, such as lists, become JSON text.
        - A missing value is ``None``, in a ``float64`` column NaN, and in a column of times NaT.

    Examples
    --------
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> rows = [{"paid_at": "2026-01-31", "gross_cents": 1500}, {"paid_at": "2026-02-01"}]
    >>> plain = payments_frame([("shop", rows)]).capsule.to_plain()
    >>> plain["gross_cents"].tolist(), plain["app"].tolist()
    ([1500, None], ['shop', 'shop'])
    """
    frame = self._frame
    columns = {place: _plain(frame.iloc[:, place]) for place in range(frame.shape[1])}
    plain = pd.DataFrame(columns, index=frame.index).set_axis(frame.columns, axis=1)
    plain.attrs = dict(frame.attrs)
    return plain


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column with a type that numpy has."""
    dtype = column.dtype
    if types.is_datetime64_any_dtype(dtype):
        return column
    if types.is_float_dtype(dtype):
        return column.astype("float64")
    is_missing = column.isna()
    for known, plain in ((types.is_bool_dtype, "bool"), (types.is_integer_dtype, "int64")):
        if known(dtype) and not is_missing.any():
            return column.astype(plain)  # type: ignore[call-overload, no-any-return]
    values = [
        None if missing else _plain_value(value)
        for value, missing in zip(column.astype(object), is_missing, strict=True)
    ]
    return pd.Series(values, column.index, dtype=object)


def _plain_value(value: Any) -> Any:
    if isinstance(value, bool | int | float | str | Decimal):
        return value
    return json.dumps(value, default=str)
