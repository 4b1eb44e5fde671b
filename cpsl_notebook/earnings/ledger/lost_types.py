"""Columns that have lost their type, as in a CSV file, and how to convert them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd
from pandas.api import types

__all__ = ["ID_ROLES", "TIME_ROLES", "how_to_read", "listed"]

TIME_ROLES = ("time", "payout_time", "refund_time")
ID_ROLES = ("id", "payer", "subscription", "payout_id", "refund_of")

_UNITS = {"s": 1e9, "ms": 1e12, "us": 1e15, "ns": 1e18}
"""Roughly the time now in each unit since 1970."""


def how_to_read(frame: pd.DataFrame, unfit: Mapping[str, Hashable]) -> str:
    """Return what columns hold instead of times, ids or lists, and how to convert them.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments, one per row.
    unfit : mapping of str to hashable
        Columns by role.

    Returns
    -------
    str
        A clause for an error message.

    Examples
    --------
    >>> how_to_read(pd.DataFrame({"id": [1.0, None]}), {"id": "id"})
    "`id` holds floats instead of ids: read a CSV file with pd.read_csv('FILE', dtype={'id': 'string'})"
    """
    times, ids, lists = (
        [name for role, name in unfit.items() if role in roles]
        for roles in (TIME_ROLES, ID_ROLES, ("refunds",))
    )
    numbers = [name for name in times if types.is_numeric_dtype(frame[name].dtype)]
    wrong = [
        f"{listed(names)} {'holds' if len(names) == 1 else 'hold'} {what}"
        for names, what in (
            ([name for name in times if name not in numbers], "text instead of times"),
            (numbers, "numbers instead of times"),
            (ids, "floats instead of ids"),
            (lists, "text instead of lists"),
        )
        if names
    ]
    as_strings = dict.fromkeys(ids, "string")
    advice = [f"read a CSV file with pd.read_csv('FILE', dtype={as_strings})"] * bool(ids)
    advice += ["save lists with to_parquet() instead of to_csv()"] * bool(lists)
    return f"{' and '.join(wrong)}: {' and '.join([*advice, *_conversions(frame, times)])}"


def listed(names: Iterable[Hashable]) -> str:
    """Return names in backticks, separated by commas, for an error message."""
    return ", ".join(f"`{name}`" for name in names)


def _conversions(frame: pd.DataFrame, names: list[Hashable]) -> list[str]:
    """Return how to convert columns to times; those of the same form are converted together."""
    forms: dict[tuple[str, str], list[Hashable]] = {}
    for name in names:
        values = frame[name].dropna()
        is_number = types.is_numeric_dtype(values.dtype)
        form = _unit(values) if is_number else _form(values.astype("string"))
        forms.setdefault(form, []).append(name)
    return [_conversion(own, *form) for form, own in forms.items()]


def _conversion(names: list[Hashable], options: str, hint: str) -> str:
    if not options:
        return f"convert {listed(names)} to datetime64[us, UTC]"
    column = f"payments[{names[0]!r}]"
    code = f"{column} = pd.to_datetime({column}, utc=True, {options})"
    if len(names) > 1:
        columns = f"payments[{names}]"
        code = f"{columns} = {columns}.apply(pd.to_datetime, utc=True, {options})"
    return f"convert {'it' if len(names) == 1 else 'them'} with {code}{hint}"


def _unit(numbers: pd.Series[Any]) -> tuple[str, str]:
    """Return the option for times that are numbers since 1970; nothing if they are other numbers."""
    typical = numbers.astype("float64").median()
    unit = next((name for name, now in _UNITS.items() if 0.5 * now < typical < 10 * now), None)
    return (f'unit="{unit}"', "") if unit else ("", "")


def _form(texts: pd.Series[Any]) -> tuple[str, str]:
    """Return the option for times that are texts, and what it does with those it cannot read."""
    is_iso = texts.str.match(r"\s*\d{4}-\d\d")
    parsed = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    unread = texts[parsed.isna() | ~is_iso]
    if unread.empty:
        return 'format="ISO8601"', ""
    if 2 * len(unread) <= len(texts):
        example = re.sub(r"\s+", " ", str(unread.iloc[0]))[:40]
        hint = f"; values such as {example!r} become missing"
        return 'format="ISO8601", errors="coerce"', hint
    return 'format="%d.%m.%Y %H:%M"', ", in which the format must be that of the times"
