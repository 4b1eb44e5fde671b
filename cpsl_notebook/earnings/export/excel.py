"""Excel files, which have no time zones and no integers of more than 15 digits."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api import types

from cpsl_notebook.earnings.dates import zone
from cpsl_notebook.earnings.ledger.arguments import as_path
from cpsl_notebook.errors import UserError
from cpsl_notebook.files import replacing
from cpsl_notebook.progress import row_progress

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
_ROWS_AT_ONCE = 5_000


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
    zone(tz)
    path = as_path(path, "payments.xlsx")
    about = pd.DataFrame({"attribute": frame.attrs.keys(), "value": frame.attrs.values()})
    try:
        with replacing(path) as scratch, scratch.open("xb") as file:
            _write(file, {_SHEET: frame, "About": about.astype(str)}, tz)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror}. Choose another file or folder."
        ) from None
    return path


def _write(file: Any, sheets: dict[str, pd.DataFrame], tz: str) -> None:
    """Write tables as sheets, some rows at a time, so that memory does not grow with their number."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    with row_progress("Writing", sum(map(len, sheets.values()))) as progress:
        for name, table in sheets.items():
            _write_sheet(book.create_sheet(name), table, tz, progress)
    book.save(file)


def _write_sheet(
    sheet: Any, table: pd.DataFrame, tz: str, progress: Callable[[int], object]
) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    places = range(table.shape[1])
    formats = [_format(table.iloc[:, place]) for place in places]
    columns = [f"{name} ({tz})" if is_local else str(name) for name, is_local in _named(table)]
    sheet.freeze_panes = "A2"
    first = table.head(_ROWS_MEASURED)
    for place, heading in enumerate(columns):
        measured = _cells(first.iloc[:, place], tz)
        width = _width(heading, measured, formats[place])
        sheet.column_dimensions[get_column_letter(place + 1)].width = width
    # A cell is written as soon as its row is appended, so one of each kind is enough.
    styled = [WriteOnlyCell(sheet) for _ in places]
    for cell, number_format in zip(styled, formats, strict=True):
        cell.number_format = number_format or "General"
    texts = [WriteOnlyCell(sheet) for _ in places]

    def shown(place: int, value: Any) -> Any:
        """Return a value, in a cell if it needs a format or could be read as a formula."""
        if isinstance(value, str):
            if value[:1] not in ("=", "#"):
                return value
            texts[place].value = value
            texts[place].data_type = "s"
            return texts[place]
        if value is None or not formats[place]:
            return value
        styled[place].value = value
        return styled[place]

    bold = [WriteOnlyCell(sheet, heading) for heading in columns]
    for heading in bold:
        heading.font, heading.data_type = Font(bold=True), "s"
    sheet.append(bold)
    for start in range(0, len(table), _ROWS_AT_ONCE):
        part = table.iloc[start : start + _ROWS_AT_ONCE]
        cells = [_cells(part.iloc[:, place], tz) for place in places]
        for row in zip(*cells, strict=True):
            sheet.append([shown(place, value) for place, value in enumerate(row)])
        progress(len(part))


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


def _width(heading: str, cells: list[Any], shown: str) -> int:
    """Return the width of a column in characters, judging by its first cells."""
    values = [value for value in cells if value is not None]
    if shown in (_DAY, _TIME):
        lengths = [len(shown)] if values else []
    elif shown.startswith("#"):
        lengths = [len(f"{value:,.2f}") for value in values if not isinstance(value, str)]
    elif shown:
        lengths = [len(shown) + 2]
    else:
        lengths = [len(str(value)) for value in values]
    return min(max([len(heading), *lengths]) + 2, _WIDEST)


def _named(table: pd.DataFrame) -> list[tuple[Any, bool]]:
    """Return the name of each column, and whether its times are written in the time zone."""
    return [(name, isinstance(column.dtype, pd.DatetimeTZDtype)) for name, column in table.items()]


def _cells(column: pd.Series[Any], tz: str) -> list[Any]:
    """Return the values of a column as openpyxl writes them, with None for missing ones."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert(zone(tz)).dt.tz_localize(None)
    values = column.astype(object).where(column.notna(), None).tolist()
    return [None if value is None else _cell(value) for value in values]


def _cell(value: Any) -> Any:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, int) and abs(value) >= _EXACT:
        return str(value)
    if isinstance(value, Decimal):  # with two decimal places
        return float(value) if abs(value) < _EXACT // 100 else str(value)
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    if not isinstance(value, int | float | dt.date | dt.time | dt.timedelta):
        return ILLEGAL_CHARACTERS_RE.sub("\ufffd", str(value))[:_LONGEST_TEXT]
    return value
