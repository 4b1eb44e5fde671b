"""Columns of the payments to the columns of a ledger: text, kinds, states, times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api import types

__all__ = ["KINDS", "PAYOUT_STATES", "categories", "key", "text", "times"]

KINDS = {
    "onetime": "one_time",
    "once": "one_time",
    "oneoff": "one_time",
    "single": "one_time",
    "monthly": "monthly",
    "month": "monthly",
    "permonth": "monthly",
    "refund": "refund",
    "refunded": "refund",
}
"""What a kind is called in a ledger; others keep their names."""

PAYOUT_STATES = {
    "paidout": "Paid out",
    "paid": "Paid out",
    "needsonboarding": "Needs onboarding",
    "inprogress": "In progress",
    "failed": "Failed",
}
"""The payout states that the service documents; others keep their names."""


def key(value: str) -> str:
    """Return what is the same for ``One time``, ``one_time`` and ``oneTime``."""
    return re.sub(r"[\W_]", "", value).lower()


def text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return values as strings, an empty one as missing; numbers as they are written."""
    written = column.astype("string").str.strip()
    return written.mask(written == "")


def categories(column: pd.Series[Any], known: Mapping[str, str]) -> pd.Series[Any]:
    """Return values as categories, under the names in *known* where it has them.

    Examples
    --------
    >>> categories(pd.Series(["oneTime", "yearly", None]), KINDS).tolist()
    ['one_time', 'yearly', nan]
    """
    written = text(column)
    names = {value: known.get(key(value), value) for value in written.dropna().unique()}
    return written.map(names).astype("category")


def times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return times in UTC; strings are ISO 8601, and without a zone in UTC."""
    if types.is_numeric_dtype(column.dtype):
        return pd.Series(pd.NaT, column.index, dtype="datetime64[us, UTC]")
    if not types.is_datetime64_any_dtype(column.dtype):
        column = pd.to_datetime(column.astype(object), utc=True, format="ISO8601", errors="coerce")
    if column.dt.tz is None:
        column = column.dt.tz_localize("UTC")
    utc: pd.Series[Any] = column.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return utc
