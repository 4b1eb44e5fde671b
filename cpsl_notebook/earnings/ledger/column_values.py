"""Values of payments in the form that a ledger has: text, kinds, states, times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.errors import UserError

__all__ = [
    "KINDS",
    "PAYOUT_STATES",
    "are_negative",
    "are_paid",
    "are_positive",
    "canonical",
    "key",
    "text",
    "times",
]

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
    "yearly": "yearly",
    "year": "yearly",
    "peryear": "yearly",
    "annual": "yearly",
    "annually": "yearly",
    "chargeback": "chargeback",
    "payout": "payout",
}
"""Kinds in a ledger by `key`; other kinds keep their spelling."""

PAYOUT_STATES = {
    "paidout": "Paid out",
    "paid": "Paid out",
    "needsonboarding": "Needs onboarding",
    "inprogress": "In progress",
    "failed": "Failed",
}
"""Payout states that the service documents by `key`; other states keep their spelling."""

_PAID = set(
    "paid succeeded success successful complete completed captured settled "
    "refund refunded fullyrefunded partiallyrefunded partialrefund".split()
)
_UNPAID = set(
    "failed pending canceled cancelled declined void voided expired open unpaid processing "
    "incomplete authorized requiresaction requirespaymentmethod".split()
)
_EPOCH = pd.Timestamp(0, tz="UTC")


def key(value: str) -> str:
    """Return a form that is the same for ``One time``, ``one_time`` and ``oneTime``."""
    return re.sub(r"[\W_]", "", value).lower()


def text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return values as strings without surrounding spaces; empty ones are missing."""
    stripped = column.astype("string").str.strip()
    return stripped.mask(stripped == "")


def canonical(
    column: pd.Series[Any], spellings: Mapping[str, str], *, upper: bool = False
) -> pd.Series[Any]:
    """Return values as categories in one spelling.

    Parameters
    ----------
    column : pandas.Series
        Values of any type.
    spellings : mapping of str to str
        Spelling by `key`; other values keep theirs.
    upper : bool, default False
        Whether to convert the values to upper case first.

    Returns
    -------
    pandas.Series
        ``category``; empty values are missing.

    Examples
    --------
    >>> canonical(pd.Series(["oneTime", "weekly", None]), KINDS).tolist()
    ['one_time', 'weekly', nan]
    """
    if isinstance(column.dtype, pd.CategoricalDtype):  # much faster: only the categories are read
        spelled = canonical(pd.Series(column.cat.categories), spellings, upper=upper)
        taken = spelled.array.take(column.cat.codes.to_numpy(), allow_fill=True)
        return pd.Series(taken, column.index).cat.remove_unused_categories()
    values = text(column)
    values = values.str.upper() if upper else values
    names = {value: spellings.get(key(value), value) for value in values.dropna().unique()}
    return values.map(names).astype("category")


def are_negative(amounts: pd.Series[Any]) -> pd.Series[bool]:
    """Return whether amounts are below zero; missing ones are not."""
    return (amounts < 0).fillna(False).astype(bool)


def are_positive(amounts: pd.Series[Any]) -> pd.Series[bool]:
    """Return whether amounts are above zero; missing ones are not."""
    return (amounts > 0).fillna(False).astype(bool)


def are_paid(states: pd.Series[Any], what: str = "payment") -> pd.Series[Any]:
    """Return whether money moved, judging by the status of a payment or of a refund.

    Parameters
    ----------
    states : pandas.Series
        Categories; a missing one means that money moved.
    what : {"payment", "refund"}, default "payment"
        What has the status, for the error message.

    Returns
    -------
    pandas.Series
        ``bool``.

    Raises
    ------
    cpsl_notebook.UserError
        If a status is unknown.

    Examples
    --------
    >>> are_paid(pd.Series(["paid", "failed", None], dtype="category")).tolist()
    [True, False, True]
    """
    known = {value: key(value) for value in states.cat.categories}
    unknown = [value for value, name in known.items() if name not in _PAID | _UNPAID]
    if unknown:
        role, means = {
            "payment": ("payment_status", "count every payment as paid"),
            "refund": ("refunds", "ignore the lists of refunds"),
        }[what]
        raise UserError(
            f"Unknown {what} status: {', '.join(f'`{value}`' for value in unknown)}. Leave those rows "
            f'out, or {means} with payments = payments.capsule.declare(roles={{"{role}": None}}).'
        )
    return ~states.isin([value for value, name in known.items() if name in _UNPAID])


def times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return times in UTC.

    Parameters
    ----------
    column : pandas.Series
        Datetimes, or ISO 8601 strings; without a zone, they are in UTC.

    Returns
    -------
    pandas.Series
        ``datetime64[us, UTC]``; values that are not times, all numbers, and times before 1970, which
        some services send for no time, are missing.
    """
    if types.is_numeric_dtype(column.dtype):
        return pd.Series(pd.NaT, column.index, dtype="datetime64[us, UTC]")
    if not types.is_datetime64_any_dtype(column.dtype):
        column = pd.to_datetime(column.astype(object), utc=True, format="ISO8601", errors="coerce")
    if column.dt.tz is None:
        column = column.dt.tz_localize("UTC")
    utc: pd.Series[Any] = column.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return utc.where(utc >= _EPOCH)
