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
_TIME_FORMATS = {  # of values in columns of several types; a datetime is also a date
    dt.datetime: _TIME,
    dt.date: _DAY,
    dt.time: "hh:mm:ss",
    dt.timedelta: "[h]:mm:ss",
}
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # in XML
_SHARES = re.compile("churn|retention|share")
_SHEET = "Sheet1"
_WIDEST = 60  # characters
_ROWS_MEASURED = 1_000
_ROWS_AT_ONCE = 5_000


def to_excel(self: Earnings, path: str | Path, *, tz: str = "UTC") -> Path:
    """Write the payments, or a result, to an Excel file. This needs XlsxWriter.

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
        XlsxWriter is not installed, *tz* is invalid, the file cannot be written, or the table has
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
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise UserError(
            "Excel files need XlsxWriter. Install it with: pip install XlsxWriter"
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
        with replacing(path) as scratch:
            _write(scratch, {_SHEET: frame, "About": about.astype(str)}, tz)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror}. Choose another file or folder."
        ) from None
    return path


def _write(path: Path, sheets: dict[str, pd.DataFrame], tz: str) -> None:
    """Write tables as sheets, some rows at a time, so that memory does not grow with their number."""
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import FileCreateError

    book = Workbook(str(path), {"constant_memory": True})
    with row_progress("Writing", sum(map(len, sheets.values()))) as progress:
        for name, table in sheets.items():
            _write_sheet(book, name, table, tz, progress)
    try:
        book.close()
    except FileCreateError as error:
        raise error.args[0] from None  # the OSError


def _write_sheet(
    book: Any, name: str, table: pd.DataFrame, tz: str, progress: Callable[[int], object]
) -> None:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    columns = [f"{name} ({tz})" if is_local else str(name) for name, is_local in _named(table)]
    formats = []
    for place, heading in enumerate(columns):
        column = table.iloc[:, place]
        shown = _format(column)
        sheet.set_column(place, place, _width(heading, _cells(column[:_ROWS_MEASURED], tz), shown))
        formats.append(book.add_format({"num_format": shown}) if shown else None)
    times = {kind: book.add_format({"num_format": shown}) for kind, shown in _TIME_FORMATS.items()}
    bold = book.add_format({"bold": True})
    for place, heading in enumerate(columns):
        sheet.write_string(0, place, heading, bold)

    def write(row: int, place: int, value: Any) -> None:
        shown = formats[place]
        if isinstance(value, str):
            sheet.write_string(row, place, value)
        elif isinstance(value, bool):
            sheet.write_boolean(row, place, value, shown)
        elif isinstance(value, int | float):
            sheet.write_number(row, place, value, shown)
        elif value is not None:
            kind = next(kind for kind in times if isinstance(value, kind))
            sheet.write_datetime(row, place, value, shown or times[kind])

    for start in range(0, len(table), _ROWS_AT_ONCE):
        part = table.iloc[start : start + _ROWS_AT_ONCE]
        cells = [_cells(part.iloc[:, place], tz) for place in range(len(columns))]
        for row, values in enumerate(zip(*cells, strict=True), start + 1):
            for place, value in enumerate(values):
                write(row, place, value)
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
    """Return the values of a column as Excel can hold them, with None for missing ones."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert(zone(tz)).dt.tz_localize(None)
    values = column.astype(object).where(column.notna(), None).tolist()
    return [None if value is None else _cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, int) and abs(value) >= _EXACT:
        return str(value)
    if isinstance(value, Decimal):  # with two decimal places
        return float(value) if abs(value) < _EXACT // 100 else str(value)
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    if not isinstance(value, int | float | dt.date | dt.time | dt.timedelta):
        return _ILLEGAL.sub("\ufffd", str(value))[:_LONGEST_TEXT]
    return value
