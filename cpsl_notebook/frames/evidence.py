"""Detecting whether a DataFrame still has all rows that were read.

``attrs["read"]`` holds the number of rows of each app and a fingerprint of their ids, as JSON.
Filters keep ``attrs``, so the rows no longer match. Joins, ``pd.concat`` of frames with different
``attrs`` and ``pd.DataFrame(frame)`` lose it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cpsl_notebook.frames.field_names import words
from cpsl_notebook.frames.payment_columns import ID_PATTERNS, UNPARSED

__all__ = ["ATTRIBUTE", "evidence", "find_gap", "gaps"]

ATTRIBUTE = "read"
"""Name of the attribute of a frame that holds the `evidence`."""

_BATCH = 2**14  # rows that are hashed at a time


def evidence(
    frame: pd.DataFrame,
    app: Hashable = "app",
    columns: Sequence[str] = (),
    known_gaps: Mapping[str, str] | None = None,
) -> str:
    """Return the row counts and fingerprints of the apps in a frame.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments, all that were read.
    app : hashable, default "app"
        Column with the app.
    columns : sequence of str, optional
        Columns that identify a payment; by default, the column with the id of a payment, or else
        all columns.
    known_gaps : mapping of str to str, optional
        What `gaps` returned, for a ledger of payments that may lack rows.

    Returns
    -------
    str
        The columns, and for each app the number of rows and a fingerprint of those columns that
        does not depend on the order of the rows, as JSON.
    """
    named = [str(name) for name in columns or _id_column(frame) or _plain_columns(frame)]
    apps = _fingerprints(frame, str(app), named)
    known_gaps = known_gaps or {}
    for name in apps:
        gap = known_gaps.get(name) or known_gaps.get("")
        apps[name] = {"gap": gap} if gap else apps[name]
    return json.dumps({"app": str(app), "columns": named, "apps": apps})


def find_gap(frame: pd.DataFrame) -> str:
    """Return the reason why rows of a frame's apps may be missing, or an empty string.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments.

    Returns
    -------
    str
        A clause for an error message. It is empty if, for every app in the frame, the rows are
        exactly those that were read.

    Examples
    --------
    >>> frame = pd.DataFrame({"app": ["shop"] * 3, "id": ["a", "b", "c"]})
    >>> frame.attrs["read"] = evidence(frame)
    >>> find_gap(frame[::-1])
    ''
    >>> find_gap(frame[1:])
    'these payments have 2 of the 3 rows of shop that were read'
    """
    return next(iter(gaps(frame).values()), "")


def gaps(frame: pd.DataFrame) -> dict[str, str]:
    """Return why a frame may lack rows, by app; with an empty key if nothing is known about any app.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments.

    Returns
    -------
    dict of str to str
        Clauses for an error message, for each app that is not known to be complete.

    Examples
    --------
    >>> gaps(pd.DataFrame({"app": ["shop"]}))
    {'': 'it is unknown whether these payments are all payments of their apps'}
    """
    if frame.empty:
        return {}
    read = json.loads(frame.attrs.get(ATTRIBUTE, "{}"))
    if not read or not {read["app"], *read["columns"]} <= set(frame.columns):
        return {"": "it is unknown whether these payments are all payments of their apps"}
    apps = _fingerprints(frame, read["app"], read["columns"])
    most_first = sorted(apps.items(), key=lambda item: -item[1]["rows"])
    found = {
        app: _gap_of_app(app, known["rows"], read["apps"].get(app)) for app, known in most_first
    }
    if not any(found.values()):
        for app, known in apps.items():
            if known != read["apps"][app]:
                found[app] = f"these payments are not the rows of {app} that were read"
    return {app: gap for app, gap in found.items() if gap}


def _gap_of_app(app: Hashable, count: int, read: dict[str, Any] | None) -> str:
    """Return why a number of rows cannot be all rows of an app, or an empty string."""
    if read is None:
        return f"these payments have {count:,} rows of {app}, of which none were read"
    if "gap" in read:
        return str(read["gap"])
    if read["rows"] > count:
        return f"these payments have {count:,} of the {read['rows']:,} rows of {app} that were read"
    if read["rows"] < count:
        return f"these payments have {count:,} rows of {app}, but {read['rows']:,} were read"
    return ""


def _id_column(frame: pd.DataFrame) -> list[Hashable]:
    """Return the column with the payment id; an empty list if there is none, or if it is ambiguous."""
    for pattern in ID_PATTERNS:
        found: list[Hashable] = [
            name for name in frame.columns if re.fullmatch(pattern, "_".join(words(name)))
        ]
        if found:
            return found if len(found) == 1 else []
    return []


def _plain_columns(frame: pd.DataFrame) -> list[Hashable]:
    """Return the columns whose values can be compared as text after saving and reading."""
    return [name for name in frame.columns if name != UNPARSED and frame[name].dtype != object]


def _fingerprints(frame: pd.DataFrame, app: str, columns: Sequence[str]) -> dict[str, Any]:
    """Return the number of rows of each app, and the sum of the hashes of its rows."""
    hashes: npt.NDArray[np.uint64] = np.zeros(len(frame), np.uint64)
    for name in columns:
        hashes = hashes * np.uint64(1_000_003) + _hashes(frame[name])
    codes, apps = _apps(frame[app])
    sums: npt.NDArray[np.uint64] = np.zeros(
        len(apps) + 1, np.uint64
    )  # the last one is for rows without an app
    np.add.at(sums, codes, hashes)
    counts = np.bincount(codes[codes >= 0], minlength=len(apps))
    return {
        str(name): {"rows": int(count), "fingerprint": f"{int(total):016x}"}
        for name, count, total in zip(apps, counts, sums[: len(apps)], strict=True)
        if count
    }


def _apps(column: pd.Series[Any]) -> tuple[npt.NDArray[Any], pd.Index[Any]]:
    """Return the number of the app of each row, -1 without one, and the names of the apps."""
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    if is_category and column.cat.categories.inferred_type == "string":
        return column.cat.codes.to_numpy(), column.cat.categories
    codes, apps = pd.factorize(column.astype("string"))
    return codes, pd.Index(apps)


def _hashes(column: pd.Series[Any]) -> npt.NDArray[np.uint64]:
    """Return a hash of each value as text."""
    if column.dtype == object:  # such as ids of several types
        column = pd.Series([_text(value) for value in column], dtype=object)
    else:
        column = column.astype("string").fillna("")
    # Batches, which need less memory and half of the time.
    batches = [column.iloc[start : start + _BATCH] for start in range(0, len(column), _BATCH)]
    hashes = [np.zeros(0, np.uint64)]
    hashes += [pd.util.hash_array(batch.to_numpy(object), categorize=False) for batch in batches]
    return np.concatenate(hashes)


def _text(value: Any) -> str:
    """Return a value as text that UTF-8 can encode."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "backslashreplace").decode()  # lone surrogates
