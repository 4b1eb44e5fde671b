"""Snapshots: a ledger saved when a month is closed, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from cpsl_notebook.earnings.dates import Moment, moment, zone
from cpsl_notebook.earnings.ledger.arguments import as_path
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import COLUMNS, DETAILS, Ledger
from cpsl_notebook.earnings.result_table import result_table
from cpsl_notebook.errors import UserError
from cpsl_notebook.files import replacing

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["diff", "snapshot"]

_MARK = "capsule.snapshot"
_CHANGES = ["added", "removed", "changed"]


def snapshot(
    self: Earnings, path: str | Path, *, as_of: Moment | None = None, tz: str = "UTC"
) -> Path:
    """Save the ledger to a new Parquet file, for `diff`.

    A scheduled close can run again: if the file holds a snapshot of the same ledger, it stays as it
    is.

    Parameters
    ----------
    path : str or pathlib.Path
        File to write. An existing file is never overwritten.
    as_of : str, date, datetime or Period, optional
        The close, such as ``"2026-10"``. A day, a month or a year means its end, and must have been
        over when the payments were read. Later payments are left out. Defaults to the time at which
        the payments were read.
    tz : str, default "UTC"
        Time zone of *as_of*, such as ``"Europe/Berlin"``.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    UserError
        The file exists and holds something else, it cannot be written, or *as_of* or *tz* is
        invalid or *as_of* was not over.

    Examples
    --------
    >>> import tempfile
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"payment_id": "p1", "paid_at": "2026-01-31", "gross_cents": 1500, "fee_cents": 150}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     before = payments_frame([("shop", [row])])
    ...     closed = before.capsule.snapshot(f"{folder}/2026-01.parquet", as_of="2026-01")
    ...     after = payments_frame([("shop", [row | {"fee_cents": 140}])])
    ...     after.capsule.diff(closed)[["change", "field", "before", "after"]]
        change      field before after
    0  changed  fee_cents    150   140
    1  changed  net_cents   1350  1360
    """
    path = as_path(path, "2026-10.parquet")
    zone(tz)
    if path.is_dir():
        raise UserError(f"Cannot write {path}: Is a directory. Choose a file in it.")
    ledger = build(self._frame, as_of=as_of, tz=tz)
    if as_of is not None and ledger.as_of < moment(as_of, tz):
        raise UserError(
            f"Cannot close {as_of}, which is not over: the payments are known up to "
            f"{ledger.as_of:%Y-%m-%d %H:%M} UTC. Omit as_of to save those, or read the payments later."
        )
    frame = ledger.rows.copy()
    frame.attrs = {
        _MARK: "1",
        "as_of": ledger.as_of.isoformat(),
        "window": ledger.cut,
        "missing": " ".join(sorted(ledger.missing)),
    }
    try:
        with replacing(path, overwrite=False) as scratch, scratch.open("xb") as file:
            frame.to_parquet(file)
    except FileExistsError:
        _check_same(ledger, path)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror}. Choose another file or folder."
        ) from None
    return path


def diff(self: Earnings, path: str | Path) -> pd.DataFrame:
    """Return the differences between a snapshot and the payments.

    Payments are matched by app and id. Payments after the close of the snapshot are not a
    difference.

    Parameters
    ----------
    path : str or pathlib.Path
        File that `snapshot` wrote.

    Returns
    -------
    pandas.DataFrame
        One row per difference.

        - ``change`` (category): ``added``, ``removed`` or ``changed``.
        - ``app``, ``payment_id`` (string).
        - ``field`` (string): column of the ledger that differs. For an added or removed payment it
          is ``net_cents``, or ``gross_cents`` if the payments have no net amount.
        - ``before``, ``after`` (string): values of the field.

    Raises
    ------
    UserError
        The file cannot be read or is not a snapshot, the payments have no ids, or snapshot and
        payments were cut to different windows.

    Examples
    --------
    >>> import tempfile
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> row = {"payment_id": "p1", "paid_at": "2026-01-31", "gross_cents": 1500, "fee_cents": 150}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     closed = payments_frame([("shop", [row])]).capsule.snapshot(f"{folder}/closed.parquet")
    ...     late = row | {"payment_id": "p0", "paid_at": "2026-01-30"}
    ...     changes = payments_frame([("shop", [row, late])]).capsule.diff(closed)
    ...     changes[["change", "payment_id", "field", "after"]]
      change payment_id      field after
    0  added         p0  net_cents  1350
    """
    then = _read(as_path(path, "2026-10.parquet"))
    now = build(self._frame)
    now.need("diff", "payment_id")
    if "payment_id" in then.missing:
        raise UserError(
            f"The payments in {path} have no ids, so they cannot be compared. Choose a snapshot of "
            "payments with ids."
        )
    if now.cut != then.cut:
        raise UserError(
            f"The snapshot holds {_window(then)}, but these payments are {_window(now)}. "
            "Read the payments of the same window."
        )
    return result_table(_differences(now, then), now)


def _check_same(now: Ledger, path: Path) -> None:
    """Raise an error unless a file holds a snapshot of the same ledger."""
    then = _read(path)
    changes = len(_differences(now, then))
    if now.as_of != then.as_of:
        reason = f"it holds the payments as of {then.as_of:%Y-%m-%d %H:%M} UTC"
    elif now.cut != then.cut:
        reason = f"it holds {_window(then)}"
    elif changes:
        counted = f"{changes:,} {'change' if changes == 1 else 'changes'}"
        reason = f"the payments have changed since: {counted}, which diff() lists"
    else:
        return
    raise UserError(
        f"{path} already exists, and a snapshot is never overwritten; {reason}. Choose another file."
    )


def _read(path: Path) -> Ledger:
    """Return the ledger that a snapshot holds."""
    try:
        with path.open("rb") as file:
            frame = pd.read_parquet(file)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or "it is not a Parquet file"
        raise UserError(
            f"Cannot read the snapshot {path}: {reason}. "
            "Pass a file that payments.capsule.snapshot() wrote."
        ) from None
    if _MARK not in frame.attrs or not set(COLUMNS) <= set(frame.columns):
        raise UserError(
            f"{path} is not a snapshot. Pass a file that payments.capsule.snapshot() wrote."
        )
    return Ledger(
        rows=frame,
        as_of=pd.Timestamp(frame.attrs["as_of"]),
        cut=frame.attrs["window"],
        missing=frozenset(frame.attrs["missing"].split()),
    )


def _window(ledger: Ledger) -> str:
    return f"the window {ledger.cut}" if ledger.cut else "the whole history"


def _differences(now: Ledger, then: Ledger) -> pd.DataFrame:
    missing = now.missing | then.missing
    fields = [name for name in (*COLUMNS, *DETAILS) if name not in missing and name in then.rows]
    before, after = _keyed(then, fields), _keyed(now, fields)
    until_close = after["paid_at"].isna() | (after["paid_at"] < then.as_of)
    added = after[~after.index.isin(before.index) & until_close]
    removed = before[~before.index.isin(after.index)]
    amount = "gross_cents" if "net_cents" in missing else "net_cents"
    changes = pd.concat(
        [
            _change_rows("added", amount, None, added[amount]),
            _change_rows("removed", amount, removed[amount], None),
            *_changed(before, after, fields),
        ]
    )
    changes["change"] = changes["change"].astype(pd.CategoricalDtype(_CHANGES, ordered=True))
    return changes.sort_values(["change", "app", "payment_id"], kind="stable", ignore_index=True)


def _keyed(ledger: Ledger, fields: list[str]) -> pd.DataFrame:
    """Return the rows with an index of app, id, and a number for rows that share both."""
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
        yield _change_rows("changed", field, old[~same], new[~same])


def _comparable(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return categories as strings, because two columns can have different categories."""
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    return column.astype("string") if is_category else column


def _change_rows(
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
