"""Tables as Excel files, which know no time zones, no integers beyond 15 digits, and formulas."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.dates import zone
from cpsl_notebook.errors import UserError

__all__ = ["write"]

_MOST_ROWS = 2**20 - 1  # beside the heading
_EXACT = 10**15  # Excel keeps 15 digits of a number
_LONGEST_TEXT = 32_767


def write(frame: pd.DataFrame, path: str | Path, tz: str = "UTC") -> Path:
    """Write a table to an Excel file.

    Times are written as the clocks of *tz* show them, which the heading says. What is text stays
    text, also where it begins with ``=``; an integer of more than 15 digits becomes text, for Excel
    would round it; lists and objects become JSON.

    Raises
    ------
    UserError
        openpyxl is not installed, the file cannot be written, or the table is too long.
    """
    try:
        import openpyxl  # noqa: F401
    except ImportError:
        raise UserError(
            'Excel files need openpyxl: install it with pip install "cpsl-notebook[excel]".'
        ) from None
    if len(frame) > _MOST_ROWS:
        raise UserError(
            f"An Excel sheet holds {_MOST_ROWS:,} rows, and these are {len(frame):,}: "
            "write them with to_parquet(), or fewer of them."
        )
    path = Path(path).expanduser()
    shown = pd.DataFrame(
        {_heading(frame, name, tz): _cells(frame[name], tz) for name in frame.columns}
    )
    try:
        with pd.ExcelWriter(path, engine="openpyxl") as book:
            shown.to_excel(book, index=False)
            for row in book.book.active.iter_rows(min_row=2):
                for cell in row:
                    if cell.data_type == "f":
                        cell.data_type = "s"
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): name another file."
        ) from None
    return path


def _heading(frame: pd.DataFrame, name: Any, tz: str) -> str:
    is_time = isinstance(frame[name].dtype, pd.DatetimeTZDtype)
    return f"{name} ({tz})" if is_time else str(name)


def _cells(column: pd.Series[Any], tz: str) -> pd.Series[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        clocks: pd.Series[Any] = column.dt.tz_convert(zone(tz)).dt.tz_localize(None)
        return clocks
    if types.is_integer_dtype(column.dtype) and not (column.abs() >= _EXACT).any():
        return column
    if types.is_float_dtype(column.dtype) or types.is_bool_dtype(column.dtype):
        return column
    cells: pd.Series[Any] = column.astype(object).map(_cell, na_action="ignore")
    return cells


def _cell(value: Any) -> Any:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, int) and abs(value) >= _EXACT:
        return str(value)
    if isinstance(value, Decimal):  # with two places
        return float(value) if abs(value) < _EXACT // 100 else str(value)
    if isinstance(value, str):
        return ILLEGAL_CHARACTERS_RE.sub("\ufffd", value)[:_LONGEST_TEXT]
    return value
