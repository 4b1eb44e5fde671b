"""What to do about payments that occur more than once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cpsl_notebook.earnings.ledger.lost_types import listed

__all__ = ["how_to_drop"]

_IDENTITY = ["app", "payment_id"]


def how_to_drop(
    frame: pd.DataFrame,
    roles: Mapping[str, Hashable],
    rows: pd.DataFrame,
    again: pd.Index[Any],
    positions: npt.NDArray[np.int64],
) -> str:
    """Return how to drop rows that are copies of others, or which rows with one id differ.

    Only copies can be dropped without a loss: rows may share an id because a payment was attempted
    twice, or was changed.

    Parameters
    ----------
    frame : pandas.DataFrame
        Payments, one per row.
    roles : mapping of str to hashable
        Columns by role.
    rows : pandas.DataFrame
        Rows of the ledger, on a default index.
    again : pandas.Index
        Those of *rows* that have the id of an earlier one.
    positions : numpy.ndarray of int
        Row of the frame that each of *rows* comes from.

    Returns
    -------
    str
        A sentence for an error message.
    """
    used = set(roles.values())
    columns = [name for name in frame.columns if name in used]
    has_id = frame[roles["id"]].notna().to_numpy()
    copies = _duplicated(frame, columns) & has_id
    differing = again[~copies[positions[again]]]
    if len(differing):
        return _how_they_differ(frame, columns, rows, differing[0], positions)
    for names in ([roles["app"], roles["id"]], columns):
        code = f"~{_code(frame, names)}"
        if ((_duplicated(frame, names) & has_id) == copies).all():
            break
    if (_duplicated(frame, names) & ~has_id).any():
        code = f"payments[{roles['id']!r}].isna() | {code}"
    return f"Drop them with payments = payments[{code}]."


def _how_they_differ(
    frame: pd.DataFrame,
    columns: list[Any],
    rows: pd.DataFrame,
    row: Any,
    positions: npt.NDArray[np.int64],
) -> str:
    """Return which rows of the frame have the id of a row of the ledger, and how they differ."""
    same = (rows[_IDENTITY] == rows.loc[row, _IDENTITY]).all(axis=1).to_numpy(bool)
    places = sorted({int(place) for place in positions[same]})
    texts = frame.iloc[places][columns].astype("object").map(str)
    names = [name for name in columns if texts[name].nunique() > 1]
    return (
        f"The rows differ in {listed(names)}: compare payments.iloc[{places}], and leave out those "
        "that are wrong."
    )


def _has_lists(frame: pd.DataFrame, names: list[Any]) -> bool:
    try:
        frame[names].duplicated()
    except TypeError:
        return True
    return False


def _code(frame: pd.DataFrame, names: list[Any]) -> str:
    if _has_lists(frame, names):
        return f"payments[{names}].astype(str).duplicated()"
    return f"payments.duplicated({names})"


def _duplicated(frame: pd.DataFrame, names: list[Any]) -> npt.NDArray[np.bool_]:
    part = frame[names]
    part = part.astype(str) if _has_lists(frame, names) else part
    return part.duplicated().to_numpy(bool)
