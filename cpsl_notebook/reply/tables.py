"""The tables of a reply as DataFrames: those in its Markdown, and its ``table_preview`` blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cpsl_notebook.errors import UserError
from cpsl_notebook.reply.limits import (
    MAX_BLOCK_LENGTH,
    MAX_FORMATTED,
    MAX_TABLE_COLUMNS,
    MAX_TABLE_ROWS,
    MAX_VALUE_LENGTH,
)
from cpsl_notebook.reply.markdown import table_cells
from cpsl_notebook.sanitize import clean

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ShownTable",
    "block_table",
    "cell_text",
    "is_table_block",
    "markdown_tables",
    "shown_cells",
    "shown_table",
]

_MIN_VALUE_LENGTH = 20
_TAG_LENGTH = 15  # characters of HTML around a cell, about
MAX_CELLS, MAX_COLUMNS = 2_000_000, 10_000  # of a table in `Reply.tables`
# A number with a leading zero, such as 007, stays text; so does one that its type would round.
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_MAX_EXACT = 1 << 53  # a float can represent every integer up to this one
_NAME_FIELDS = ("label", "title", "name", "key", "id")
_KEY_FIELDS = ("key", "id", "name", "label", "title")


class ShownTable(NamedTuple):
    """The part of a table that is shown, as texts.

    Attributes
    ----------
    names : list of str
        The columns.
    rows : list of list of str
        The rows.
    numeric : list of bool
        Which columns contain only numbers.
    all_rows, all_columns : int
        The size of the whole table.
    limit : int
        The approximate number of characters that may be shown.
    """

    names: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    all_rows: int
    all_columns: int
    limit: int

    def note(self, rows: int) -> str:
        """Return what is not shown if only *rows* rows are shown; empty if nothing is missing."""
        missing = {"rows": self.all_rows - rows, "columns": self.all_columns - len(self.names)}
        hidden = [f"{number:,} more {name}" for name, number in missing.items() if number]
        place = "see `tables` of the reply (`%capsule last`)."
        return f"{' and '.join(hidden)}: {place}" if hidden else ""


class _Layout(NamedTuple):
    """The rows of a table block, and where its columns come from."""

    rows: list[Any]
    given: list[Any]  # descriptions of the columns
    keys: Sequence[Any] | None  # of all columns; None if `given` describes all of them
    width: int  # number of columns

    def columns(self, limit: int | None = None) -> list[tuple[Any, str]]:
        """Return the key and the name of the first columns."""
        if self.keys is None:
            return [(_column_key(column), _column_name(column)) for column in self.given[:limit]]
        names = [_column_name(column) for column in self.given[:limit]]
        unnamed = self.keys[len(names) : limit]  # such a column gets its key or its number
        keys = self.keys[: len(names)]
        return [*zip(keys, names, strict=True), *((key, cell_text(key)) for key in unnamed)]


def markdown_tables(text: str) -> list[pd.DataFrame]:
    r"""Return the tables of a Markdown text.

    Returns
    -------
    list of pandas.DataFrame
        A column is ``Int64`` or ``Float64`` if all its cells are numbers or empty, and ``string``
        otherwise, or if the type would round an integer, such as an id of 19 digits.

    Raises
    ------
    UserError
        A table has more than 2,000,000 cells or 10,000 columns.

    Examples
    --------
    >>> (table,) = markdown_tables("| queue | open |\n|---|---|\n| billing | 4 |")
    >>> table["open"].tolist()
    [4]
    """
    return [_from_cells(rows) for rows in table_cells(text)]


def is_table_block(block: dict[str, Any]) -> bool:
    """Return whether a block contains a table."""
    return _layout(block) is not None


def block_table(block: dict[str, Any]) -> pd.DataFrame | None:
    """Return the whole table of a ``table_preview`` block; ``None`` if it contains no table.

    Raises
    ------
    UserError
        The table has more than 2,000,000 cells or 10,000 columns.
    """
    import pandas as pd

    layout = _layout(block)
    if layout is None:
        return None
    _check_size(len(layout.rows), layout.width)
    columns = layout.columns()
    values = [[_value(row, key) for key, _ in columns] for row in layout.rows]
    frame = pd.DataFrame(values, columns=[name for _, name in columns], dtype=object)
    return frame.apply(_typed_column)


def shown_table(block: dict[str, Any], limit: int = MAX_BLOCK_LENGTH) -> ShownTable | None:
    """Return the part of a ``table_preview`` block that is shown, with values as they came.

    Parameters
    ----------
    block : dict
        The block.
    limit : int
        The number of characters after which further rows are left out.
    """
    layout = _layout(block)
    if layout is None:
        return None
    columns = layout.columns(MAX_TABLE_COLUMNS)
    values = ([_value(row, key) for key, _ in columns] for row in layout.rows[:MAX_TABLE_ROWS])
    size = len(layout.rows), layout.width
    return _shown([name for _, name in columns], values, size, limit, _is_number)


def shown_cells(cells: list[list[str]]) -> ShownTable:
    """Return the part of a table of a Markdown text that is shown by ``--table``."""
    header, *rows = cells
    return _shown(header, rows, (len(rows), len(header)), MAX_FORMATTED, _NUMBER.fullmatch)


def cell_text(value: Any, limit: int | None = None) -> str:
    """Return a value from an app as text that is safe to show; empty for a missing value.

    Parameters
    ----------
    value : object
        The value.
    limit : int, optional
        The number of characters after which the text is cut off.

    Examples
    --------
    >>> cell_text("a long text", limit=6)
    'a long…'
    """
    if value is None:
        return ""
    try:
        text = _json_text(value, limit) if isinstance(value, dict | list) else str(value)
    except (RecursionError, ValueError):  # nested too deeply, or an integer of 5,000 digits
        return "…"
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}…"
    return clean(text)


def _json_text(value: Any, limit: int | None) -> str:
    """Return the start of a value as JSON; the rest is not even encoded."""
    pieces, length = [], 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        length += len(piece)
        if limit is not None and length > limit:
            break
    return "".join(pieces)


def _shown(
    names: list[str],
    rows: Iterable[list[Any]],
    size: tuple[int, int],
    limit: int,
    is_number: Callable[[Any], object],
) -> ShownTable:
    """Return a table with the rows that fit."""
    longest = min(MAX_VALUE_LENGTH, max(_MIN_VALUE_LENGTH, limit // max(1, len(names))))
    numeric: list[bool | None] = [None] * len(names)  # None: no value yet
    shown: list[list[str]] = []
    length = 0
    for values in rows:
        texts = [cell_text(value, longest) for value in values]
        length += sum(map(len, texts)) + _TAG_LENGTH * len(texts)
        if shown and length > limit:
            break
        shown.append(texts)
        numeric = [
            known if value is None or value == "" else known is not False and bool(is_number(value))
            for known, value in zip(numeric, values, strict=True)
        ]
    titles = [cell_text(name, longest) for name in names]
    return ShownTable(titles, shown, list(map(bool, numeric)), *size, limit)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_size(rows: int, columns: int) -> None:
    if rows * columns > MAX_CELLS or columns > MAX_COLUMNS:
        raise UserError(
            f"A table of the reply has {rows:,} rows and {columns:,} columns; `tables` returns at most "
            f"{MAX_CELLS:,} cells and {MAX_COLUMNS:,} columns. Read it from `blocks` or `text`."
        )


def _from_cells(rows: list[list[str]]) -> pd.DataFrame:
    import pandas as pd

    header, *body = rows
    _check_size(len(body), len(header))
    columns = [_from_texts([row[position] for row in body]) for position in range(len(header))]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    return frame.set_axis(header, axis=1)


def _from_texts(cells: list[str]) -> pd.Series[Any]:
    import pandas as pd

    filled = [cell for cell in cells if cell]
    for pattern, number, dtype in ((_INTEGER, int, "Int64"), (_FLOAT, float, "Float64")):
        if filled and all(map(pattern.fullmatch, filled)):
            return pd.Series([number(cell) if cell else None for cell in cells], dtype=dtype)
    return pd.Series(cells, dtype="string")


def _layout(block: dict[str, Any]) -> _Layout | None:
    payload = block.get("payload")
    table = payload.get("table") if isinstance(payload, dict) else None
    if block.get("type") != "table_preview" or not isinstance(table, dict):
        return None
    rows, given = table.get("rows"), table.get("columns")
    if not isinstance(rows, list):
        return None
    given = given if isinstance(given, list) else []
    if rows and all(isinstance(row, dict) for row in rows):
        if given:
            return _Layout(rows, given, None, len(given))
        keys: Sequence[Any] = list(dict.fromkeys(key for row in rows for key in row))
    else:
        longest = max((len(row) if isinstance(row, list) else 1 for row in rows), default=0)
        keys = range(max(len(given), longest))
    return _Layout(rows, given, keys, len(keys)) if keys else None


def _typed_column(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of Python values with the dtype that fits all of them exactly."""
    integers = [value for value in column if type(value) is int]
    if integers and len(integers) == column.count() and _is_int64(integers):
        return column.astype("Int64")
    # pandas would turn integers among other numbers into floats.
    is_exact = all(abs(value) <= _MAX_EXACT for value in integers)
    return column.infer_objects() if is_exact else column


def _is_int64(integers: list[int]) -> bool:
    return all(abs(value) < 1 << 63 for value in integers)


def _value(row: Any, key: Any) -> Any:
    if isinstance(key, int):
        cells = row if isinstance(row, list) else [row]
        value = cells[key] if key < len(cells) else None
    else:
        value = row.get(key)
    return clean(value) if isinstance(value, str) else value


def _column_key(column: Any) -> str:
    """Return which field of a row a column shows."""
    if isinstance(column, dict):
        return next((str(column[field]) for field in _KEY_FIELDS if column.get(field)), "")
    return str(column)


def _column_name(column: Any) -> str:
    """Return a column's name, given as a string or as an object with a label or name."""
    if isinstance(column, dict):
        return next((cell_text(column[field]) for field in _NAME_FIELDS if column.get(field)), "")
    return cell_text(column)
