"""Snapshots: a ledger frozen at the close of a month, and what has changed in it since."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from cpsl_notebook.earnings.ledger.ledger import COLUMNS, DETAILS, Ledger
from cpsl_notebook.errors import UserError

__all__ = ["diff", "read", "write"]

_MARK = "capsule.snapshot"
_CHANGES = ["added", "removed", "changed"]


def write(ledger: Ledger, path: str | Path) -> Path:
    """Freeze a ledger in a Parquet file.

    Parameters
    ----------
    ledger
        The payments; its ``as_of`` is the close.
    path
        A file that is not there yet: what has been frozen is never overwritten.

    Raises
    ------
    UserError
        The file is there already, or cannot be written.
    """
    path = Path(path).expanduser()
    if path.exists():
        raise UserError(
            f"{path} is there already, and a snapshot stays as it is: name another file."
        )
    frame = ledger.rows.copy()
    frame.attrs = {
        _MARK: "1",
        "as_of": ledger.as_of.isoformat(),
        "window": ledger.cut,
        "missing": " ".join(sorted(ledger.missing)),
    }
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        frame.to_parquet(scratch)
        scratch.rename(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise UserError(
            f"{path} cannot be written ({error.strerror}): name another file."
        ) from None
    return path


def read(path: str | Path) -> Ledger:
    """Return the ledger that a file holds.

    Raises
    ------
    UserError
        There is no such file, or it is no snapshot.
    """
    try:
        frame = pd.read_parquet(Path(path).expanduser())
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read as a snapshot: {' '.join(str(error).split())}"
        ) from None
    if _MARK not in frame.attrs or not set(COLUMNS) <= set(frame.columns):
        raise UserError(f"{path} is no snapshot: payments.capsule.snapshot() writes one.")
    return Ledger(
        rows=frame,
        as_of=pd.Timestamp(frame.attrs["as_of"]),
        cut=frame.attrs["window"],
        missing=frozenset(frame.attrs["missing"].split()),
    )


def diff(now: Ledger, then: Ledger) -> pd.DataFrame:
    """Return what has changed in a ledger since it was frozen, row by row.

    Payments from after the close are no change. Rows are matched by app and id.

    Parameters
    ----------
    now, then
        The ledger as it is read today, and as it was frozen.

    Returns
    -------
    pandas.DataFrame
        ``change`` (``added``, ``removed``, ``changed``), ``app``, ``payment_id``, ``field``,
        ``before``, ``after``, as text. A row that was added or removed is told by its
        ``net_cents``, or ``gross_cents`` where there is none.

    Raises
    ------
    UserError
        The payments have no ids, or the two were cut to different windows.
    """
    now.need("diff", "payment_id")
    if now.cut != then.cut:
        raise UserError(
            f"The snapshot holds the payments {then.cut or 'of the whole history'}, and these are "
            f"{now.cut or 'the whole history'}: read the same window."
        )
    fields = [name for name in (*COLUMNS, *DETAILS) if name not in now.missing | then.missing]
    before, after = (_keyed(ledger, fields) for ledger in (then, now))
    in_time = after["paid_at"].isna() | (after["paid_at"] < then.as_of)
    added = after[~after.index.isin(before.index) & in_time]
    removed = before[~before.index.isin(after.index)]
    teller = "gross_cents" if "net_cents" in now.missing | then.missing else "net_cents"
    parts = [
        _told("added", teller, None, added[teller]),
        _told("removed", teller, removed[teller], None),
        *_changed(before, after, fields),
    ]
    changes = pd.concat(parts)
    changes["change"] = changes["change"].astype(pd.CategoricalDtype(_CHANGES, ordered=True))
    return changes.sort_values(["change", "app", "payment_id"], kind="stable", ignore_index=True)


def _keyed(ledger: Ledger, fields: list[str]) -> pd.DataFrame:
    """Return the rows under their app and id, and number in order those that share both."""
    rows = ledger.rows[fields]
    keys = [rows[name].astype("string").fillna("") for name in ("app", "payment_id")]
    return rows.set_index([*keys, rows.groupby(keys).cumcount().rename("nth")])


def _changed(
    before: pd.DataFrame, after: pd.DataFrame, fields: list[str]
) -> Iterator[pd.DataFrame]:
    """Compare the rows that are in both, field by field."""
    both = before.index.intersection(after.index)
    for field in fields:
        if field in ("app", "payment_id"):
            continue
        old, new = (_comparable(rows.loc[both, field]) for rows in (before, after))
        same = (old == new).fillna(False).astype(bool) | (old.isna() & new.isna())
        yield _told("changed", field, old[~same], new[~same])


def _comparable(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return categories as text: those of two columns need not be the same."""
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    return column.astype("string") if is_category else column


def _told(
    change: str, field: str, old: pd.Series[Any] | None, new: pd.Series[Any] | None
) -> pd.DataFrame:
    rows = (new if old is None else old).index  # type: ignore[union-attr]
    texts = {
        "change": [change] * len(rows),
        "app": rows.get_level_values("app").tolist(),
        "payment_id": rows.get_level_values("payment_id").tolist(),
        "field": [field] * len(rows),
        "before": [None] * len(rows) if old is None else [_text(value) for value in old],
        "after": [None] * len(rows) if new is None else [_text(value) for value in new],
    }
    return pd.DataFrame({name: pd.array(values, "string") for name, values in texts.items()})


def _text(value: Any) -> str | None:
    if pd.isna(value):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else str(value)
