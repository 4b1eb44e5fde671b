"""Excel files, which have no time zones and no integers of more than 15 digits."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.dates import zone
from cpsl_notebook.earnings.ledger.arguments import as_path
from cpsl_notebook.errors import UserError
from cpsl_notebook.files import replacing

if TYPE_CHECKING:
    from cpsl_notebook.earnings.accessor import Earnings

__all__ = ["to_excel"]

_MOST_ROWS = 2**20 - 1  # without the heading
_EXACT = 10**15  # Excel keeps 15 digits of a number
_LONGEST_TEXT = 32_767
_DAY, _TIME = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"
_SHARES = re.compile("churn|retention|share")
_SHEET = "Sheet1"
_WIDEST = 60  # characters
_ROWS_MEASURED = 1_000


def to_excel(self: Earnings, path: str | Path, *, tz: str = "UTC") -> Path:
    """Write the payments, or a result, to an Excel file. This needs openpyxl.

    Text stays text, even if it begins with ``=``. Integers of more than 15 digits become text,
    because Excel would round them. Lists and dicts become JSON. Amounts, shares and times have number
    formats, columns are as wide as their content, and the headings stay in view. A second sheet,
    "About", lists the attributes of the DataFrame, such as ``as_of``.

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
    path = as_path(path, "payments.xlsx")
    table = pd.DataFrame(
        {_heading(frame, name, tz): _cells(frame[name], tz) for name in frame.columns}
    )
    about = pd.DataFrame({"attribute": frame.attrs.keys(), "value": frame.attrs.values()})
    about = about.astype(str).map(_cell)
    try:
        with replacing(path) as scratch, scratch.open("xb") as file:
            formats = {_heading(frame, name, tz): _format(frame[name]) for name in frame.columns}
            _write(file, {_SHEET: table, "About": about}, formats)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror}. Choose another file or folder."
        ) from None
    return path


def _write(file: Any, sheets: dict[str, pd.DataFrame], formats: dict[str, str]) -> None:
    with pd.ExcelWriter(file, engine="openpyxl") as book:
        for name, table in sheets.items():
            table.to_excel(book, sheet_name=name, index=False)
            sheet = book.sheets[name]
            sheet.freeze_panes = "A2"
            for cells in sheet.iter_cols():
                shown = formats.get(str(cells[0].value), "") if name == _SHEET else ""
                for cell in cells[1:]:
                    if cell.data_type == "f":
                        cell.data_type = "s"  # text that begins with "=" is not a formula
                    if shown and cell.data_type in "nd":
                        cell.number_format = shown
                sheet.column_dimensions[cells[0].column_letter].width = _width(cells, shown)


def _format(column: pd.Series[Any]) -> str:
    """Return the number format of a column; an empty string for the default one."""
    name, dtype = str(column.name), column.dtype
    if types.is_datetime64_any_dtype(dtype):
        times = column.dropna()
        return _DAY if (times == times.dt.normalize()).all() and dtype.kind == "M" else _TIME
    if types.is_float_dtype(dtype):
        return "0.0%" if _SHARES.search(name) else "0.00" if name.endswith("ratio") else ""
    if types.is_integer_dtype(dtype):
        return "#,##0" if name.endswith("_cents") else ""
    first = column.dropna().head(1).tolist()
    if first and isinstance(first[0], Decimal):
        digits = max(-int(first[0].as_tuple().exponent), 0)
        return "#,##0" + (f".{'0' * digits}" if digits else "")
    return ""


def _width(cells: tuple[Any, ...], shown: str) -> int:
    """Return the width of a column in characters, judging by the first rows."""
    values = [cell.value for cell in cells[1:_ROWS_MEASURED] if cell.value is not None]
    if shown in (_DAY, _TIME):
        lengths = [len(shown)] if values else []
    elif shown.startswith("#"):
        lengths = [len(f"{value:,.2f}") for value in values if not isinstance(value, str)]
    elif shown:
        lengths = [len(shown) + 2]
    else:
        lengths = [len(str(value)) for value in values]
    return min(max([len(str(cells[0].value)), *lengths]) + 2, _WIDEST)


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
