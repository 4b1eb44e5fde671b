"""A DataFrame as a Markdown table for a prompt: small, and honest about what is not in it."""

from __future__ import annotations

from typing import Any, TypeGuard

import pandas as pd

__all__ = ["is_table", "markdown"]

_ROWS, _COLUMNS = 50, 20
_CELL = 100  # characters of a cell
_SIZE = 10_000  # characters of the rows together
_MORE = " […]"  # ends a cell that was shortened


def is_table(value: Any) -> TypeGuard[pd.DataFrame | pd.Series[Any]]:
    """Say whether a value is a DataFrame or a Series."""
    return isinstance(value, (pd.DataFrame, pd.Series))


def markdown(table: pd.DataFrame | pd.Series[Any]) -> str:
    """Return a table as Markdown, with a line below it that says what was left out.

    An index is shown unless it only counts the rows from 0. At most 50 rows and 20 columns are
    shown, 100 characters of a cell and 10,000 of all.

    Examples
    --------
    >>> print(markdown(pd.DataFrame({"queue": ["billing"], "open": [12]})))
    | queue | open |
    | --- | --- |
    | billing | 12 |
    """
    frame = _with_index(table)
    if not len(frame.columns):
        return f"(A table of {len(frame):,} rows without columns.)"
    shown = frame.iloc[:_ROWS, :_COLUMNS]
    names = [_cell(_name(column)) for column in shown.columns]
    lines: list[str] = []
    size, cut = 0, False
    for row in shown.itertuples(index=False, name=None):
        cells = [_cell(_plain(value)) for value in row]
        size += sum(map(len, cells))
        if lines and size > _SIZE:
            break
        cut = cut or any(cell.endswith(_MORE) for cell in cells)
        lines.append(_line(cells))
    head = [_line(names), _line(["---"] * len(names))]
    return "\n".join([*head, *lines, *_left_out(frame, len(lines), cut)])


def _with_index(table: pd.DataFrame | pd.Series[Any]) -> pd.DataFrame:
    """Return a table whose index, where it says something, is a column."""
    frame = (
        table.to_frame(table.name if table.name is not None else "value")
        if isinstance(table, pd.Series)
        else table
    )
    index = frame.index
    counts = isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1)
    if counts and index.name is None and isinstance(table, pd.DataFrame):
        return frame
    levels = index.to_frame(index=False)
    levels.columns = pd.Index(["" if name is None else name for name in index.names])
    frame = frame.set_axis([_name(column) for column in frame.columns], axis=1)
    return pd.concat([levels, frame.reset_index(drop=True)], axis=1)


def _left_out(frame: pd.DataFrame, rows: int, cut: bool) -> list[str]:
    if frame.empty:
        return ["", "(The table has no rows.)"]
    left = []
    if rows < len(frame):
        left.append(f"{len(frame) - rows:,} of {len(frame):,} rows")
    if frame.shape[1] > _COLUMNS:
        left.append(f"{frame.shape[1] - _COLUMNS:,} of {frame.shape[1]:,} columns")
    if cut:
        left.append(f"the rest of cells that end in{_MORE}")
    return ["", f"(Left out: {'; '.join(left)}.)"] if left else []


def _name(column: Any) -> str:
    return " ".join(map(str, column)).strip() if isinstance(column, tuple) else str(column)


def _plain(value: Any) -> str:
    return "" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)


def _cell(text: str) -> str:
    text = " ".join(text.split())
    text = text if len(text) <= _CELL else text[:_CELL] + _MORE
    return text.replace("|", "\\|")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
