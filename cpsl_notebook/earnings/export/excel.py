"""Excel files, which have no time zones and no integers of more than 15 digits."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.dates import zone
from cpsl_notebook.errors import UserError
from cpsl_notebook.files import replacing

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["to_excel"]

_MOST_ROWS = 2**20 - 1  # without the heading
_EXACT = 10**15  # Excel keeps 15 digits of a number
_LONGEST_TEXT = 32_767


def to_excel(self: Earnings, path: str | Path, *, tz: str = "UTC") -> Path:
    """Write the payments, or a result, to an Excel file. This needs openpyxl.

    Text stays text, even if it begins with ``=``. Integers of more than 15 digits become text,
    because Excel would round them. Lists and dicts become JSON. A second sheet, "About", lists the
    attributes of the DataFrame, such as ``as_of``.

    Parameters
    ----------
    path : str or pathlib.Path
        File to write. An existing file is replaced.
    tz : str, default "UTC"
        Time zone in which times are written, such as ``"Europe/Berlin"``. The headings name it.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    UserError
        openpyxl is not installed, *tz* is invalid, the file cannot be written, or the table has
        more rows than an Excel sheet can hold.

    Examples
    --------
    >>> import tempfile
    >>> import cpsl_notebook.earnings  # adds payments.capsule
    >>> from cpsl_notebook.frames import payments_frame
    >>> payments = payments_frame([("shop", [{"paid_at": "2026-01-31T23:30Z"}])])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = payments.capsule.to_excel(f"{folder}/payments.xlsx", tz="Europe/Berlin")
    ...     str(pd.read_excel(path)["paid_at (Europe/Berlin)"][0])
    '2026-02-01 00:30:00'
    """
    frame = self._frame
    try:
        import openpyxl  # noqa: F401
    except ImportError:
        raise UserError(
            "Excel files need openpyxl. Install it with: pip install openpyxl"
        ) from None
    if len(frame) > _MOST_ROWS:
        raise UserError(
            f"The table has {len(frame):,} rows, and an Excel sheet holds {_MOST_ROWS:,}. "
            "Write fewer rows, or use to_parquet()."
        )
    path = Path(path).expanduser()
    table = pd.DataFrame(
        {_heading(frame, name, tz): _cells(frame[name], tz) for name in frame.columns}
    )
    about = pd.DataFrame({"attribute": frame.attrs.keys(), "value": frame.attrs.values()})
    about = about.astype(str).map(_cell)
    try:
        with replacing(path) as scratch, scratch.open("xb") as file:
            _write(file, {"Sheet1": table, "About": about})
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror}. Choose another file or folder."
        ) from None
    return path


def _write(file: Any, sheets: dict[str, pd.DataFrame]) -> None:
    with pd.ExcelWriter(file, engine="openpyxl") as book:
        for name, table in sheets.items():
            table.to_excel(book, sheet_name=name, index=False)
            for row in book.sheets[name].iter_rows(min_row=2):
                for cell in row:
                    if cell.data_type == "f":
                        cell.data_type = "s"  # text that begins with "=" is not a formula


def _heading(frame: pd.DataFrame, name: Any, tz: str) -> str:
    is_time = isinstance(frame[name].dtype, pd.DatetimeTZDtype)
    return f"{name} ({tz})" if is_time else str(name)


def _cells(column: pd.Series[Any], tz: str) -> pd.Series[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        local: pd.Series[Any] = column.dt.tz_convert(zone(tz)).dt.tz_localize(None)
        return local
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
    if isinstance(value, Decimal):  # with two decimal places
        return float(value) if abs(value) < _EXACT // 100 else str(value)
    if isinstance(value, str):
        return ILLEGAL_CHARACTERS_RE.sub("\ufffd", value)[:_LONGEST_TEXT]
    return value
