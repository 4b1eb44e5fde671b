"""Converting DataFrames to Markdown tables of limited size for prompts."""

from __future__ import annotations

from typing import Any, TypeGuard

import pandas as pd

__all__ = ["is_missing", "is_table", "to_markdown"]

_MAX_ROWS, _MAX_COLUMNS = 50, 20
_MAX_CELL = 100  # characters of a cell
_MAX_SIZE = 10_000  # characters of all rows
_ELLIPSIS = " […]"  # ends a cell that was shortened


def is_table(value: Any) -> TypeGuard[pd.DataFrame | pd.Series[Any]]:
    """Return whether a value is a DataFrame or a Series."""
    return isinstance(value, (pd.DataFrame, pd.Series))


def is_missing(value: Any) -> bool:
    """Return whether a value is ``None``, NaN, NaT or ``pandas.NA``."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def to_markdown(table: pd.DataFrame | pd.Series[Any]) -> str:
    """Return a table as Markdown, with a note below it about what is omitted.

    Parameters
    ----------
    table : pandas.DataFrame or pandas.Series
        The table. Its index is included unless it is the default one.

    Returns
    -------
    str
        At most 50 rows and 20 columns, 100 characters of each cell, and 10,000 characters of all
        rows.

    Examples
    --------
    >>> print(to_markdown(pd.DataFrame({"queue": ["billing"], "open": [12]})))
    | queue | open |
    | --- | --- |
    | billing | 12 |
    """
    frame = _with_index(table)
    if not len(frame.columns):
        return f"(The table has {len(frame):,} rows and no columns.)"
    shown = frame.iloc[:_MAX_ROWS, :_MAX_COLUMNS]
    names = [_cell(_name(column)) for column in shown.columns]
    lines: list[str] = []
    size, shortened = 0, False
    for row in shown.itertuples(index=False, name=None):
        cells = [_cell(_plain(value)) for value in row]
        size += sum(map(len, cells))
        if lines and size > _MAX_SIZE:
            break
        shortened = shortened or any(cell.endswith(_ELLIPSIS) for cell in cells)
        lines.append(_line(cells))
    head = [_line(names), _line(["---"] * len(names))]
    return "\n".join([*head, *lines, *_note(frame, len(lines), shortened)])


def _with_index(table: pd.DataFrame | pd.Series[Any]) -> pd.DataFrame:
    """Return a table with its index as columns, unless it is the default one."""
    frame = (
        table.to_frame(table.name if table.name is not None else "value")
        if isinstance(table, pd.Series)
        else table
    )
    index = frame.index
    is_default = isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1)
    if is_default and index.name is None and isinstance(table, pd.DataFrame):
        return frame
    levels = index.to_frame(index=False)
    levels.columns = pd.Index(["" if name is None else name for name in index.names])
    frame = frame.set_axis([_name(column) for column in frame.columns], axis=1)
    return pd.concat([levels, frame.reset_index(drop=True)], axis=1)


def _note(frame: pd.DataFrame, rows: int, shortened: bool) -> list[str]:
    """Return the lines that say what is omitted."""
    if frame.empty:
        return ["", "(The table has no rows.)"]
    omitted = []
    if rows < len(frame):
        omitted.append(f"{len(frame) - rows:,} of {len(frame):,} rows")
    if frame.shape[1] > _MAX_COLUMNS:
        omitted.append(f"{frame.shape[1] - _MAX_COLUMNS:,} of {frame.shape[1]:,} columns")
    if shortened:
        omitted.append(f"the rest of cells that end in{_ELLIPSIS}")
    return ["", f"(Omitted: {'; '.join(omitted)}.)"] if omitted else []


def _name(column: Any) -> str:
    return " ".join(map(str, column)).strip() if isinstance(column, tuple) else str(column)


def _plain(value: Any) -> str:
    return "" if is_missing(value) else str(value)


def _cell(text: str) -> str:
    text = " ".join(text.split())
    text = text if len(text) <= _MAX_CELL else text[:_MAX_CELL] + _ELLIPSIS
    return text.replace("|", "\\|")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
