"""The type of a column, and its values in that type; what does not fit is handed back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cpsl_notebook.frames import timestamps as times
from cpsl_notebook.frames.cells import Cells

__all__ = ["STRING", "categories", "last_word", "typed"]

STRING = pd.StringDtype("pyarrow")  # what pandas 3 takes; pandas 2.2 would choose Python's objects

Reader = Callable[[Cells, int], pa.ChunkedArray]

_ALWAYS_TIMES = {"at", "datetime", "timestamp"}
_TIME_WORDS = {
    *_ALWAYS_TIMES,
    *("created", "date", "day", "epoch", "on", "time", "ts", "updated", "when"),
}
_CATEGORY_WORDS = {"app", "currency", "interval", "kind", "mode", "state", "status", "type"}
_LARGEST_EXACT = 2**53  # up to which a float holds every integer
_PANDAS_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.large_string(): STRING,
}


def typed(name: str, cells: Cells, length: int) -> tuple[pd.Series[Any], list[tuple[int, Any]]]:
    """Return a field's values as a column of one type, and those that do not fit it.

    Parameters
    ----------
    name
        The field's name; its last word says what a column holds where values leave it open.
    cells
        The values.
    length
        The number of rows.

    Returns
    -------
    pandas.Series
        Missing where there is no value, or one that does not fit.
    list of tuple
        Row and value of each that does not fit.
    """
    word = last_word(name)
    read = _reader(word, cells, length)
    if read is None:
        return _objects(cells, length), []
    column = read(cells, length)
    misfits = []
    if length - column.null_count < len(cells):
        missing = column.is_null().to_numpy()
        misfits = [(row, value) for row, value in cells.items(length) if missing[row]]
    if word in _CATEGORY_WORDS and column.type == pa.large_string():
        return categories(column), misfits
    series: pd.Series[Any] = column.to_pandas(types_mapper=_PANDAS_TYPES.get)
    return series, misfits


def categories(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Return strings as a categorical column, its categories in order of the alphabet."""
    names = sorted(column.unique().drop_null().to_pylist())
    codes = pc.index_in(column, pa.array(names, pa.large_string()))
    found = pd.Categorical.from_codes(
        codes.fill_null(-1).to_numpy(), categories=pd.Index(names, dtype="str")
    )
    return pd.Series(found)


def _reader(word: str, cells: Cells, length: int) -> Reader | None:
    """Choose how to read a column; ``None`` for one that stays as it came."""
    if word == "cents":
        return _cents
    if word in _TIME_WORDS and _is_time(word, cells, length):
        return _times
    counts = {
        _numbers: cells.count(int, float),
        _strings: cells.count(str),
        _booleans: cells.count(bool),
        None: len(cells.others),
    }
    read = max(counts, key=lambda reader: counts[reader])  # of equal ones, the first
    if not len(cells) or read is _strings:
        whole = counts[_strings] == len(cells) > 0
        is_time = whole and times.is_full_time(cells.column(str, length))
        return _times if is_time else _strings
    if read is _numbers and not cells.count(float):
        return _integers
    return read


def _is_time(word: str, cells: Cells, length: int) -> bool:
    """Say whether a column that is named like a time is one: what a name leaves open, values say."""
    if word in _ALWAYS_TIMES or not len(cells):
        return True
    texts = times.from_strings(cells.column(str, length))
    if texts.null_count < length:
        return True
    read: int = length - _times(cells, length).null_count
    return 2 * read > len(cells)


def last_word(name: str) -> str:
    """Return the last word of a name: that of ``paid_at``, ``paidAt`` and ``paid.at`` is "at"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return words[-1].lower() if words else ""


def _strings(cells: Cells, length: int) -> pa.ChunkedArray:
    return cells.column(str, length)


def _booleans(cells: Cells, length: int) -> pa.ChunkedArray:
    return cells.column(bool, length)


def _integers(cells: Cells, length: int) -> pa.ChunkedArray:
    return cells.column(int, length)


def _numbers(cells: Cells, length: int) -> pa.ChunkedArray:
    """Read floats, and the integers that are exact as floats."""
    integers = cells.column(int, length)
    inexact = pc.or_(pc.greater(integers, _LARGEST_EXACT), pc.less(integers, -_LARGEST_EXACT))
    exact = pc.if_else(inexact, None, integers).cast(pa.float64())
    return pc.coalesce(cells.column(float, length), exact)


def _cents(cells: Cells, length: int) -> pa.ChunkedArray:
    """Read integers, also as ``1500.0`` and ``"1500"``; only a whole number is one of cents."""
    integers = cells.column(int, length)
    if cells.count(float):
        floats = cells.column(float, length)
        whole = pc.and_(pc.equal(pc.floor(floats), floats), pc.less(pc.abs(floats), float(2**63)))
        integers = pc.coalesce(integers, pc.if_else(whole, floats, None).cast(pa.int64()))
    if cells.count(str):
        texts = cells.column(str, length)
        digits = pc.if_else(pc.match_substring_regex(texts, r"^-?\d{1,19}$"), texts, None)
        integers = pc.coalesce(integers, times.cast_each(digits, pa.int64()))
    return integers


def _times(cells: Cells, length: int) -> pa.ChunkedArray:
    """Read times as text and as epochs."""
    read = []
    if cells.count(str):
        read.append(times.from_strings(cells.column(str, length)))
    for kind in (int, float):
        if cells.count(kind):
            read.append(
                times.from_numbers(cells.column(kind, length).cast(pa.float64(), safe=False))
            )
    if not read:
        return pa.chunked_array([pa.nulls(length, times.TIMESTAMP)])
    return read[0] if len(read) == 1 else pc.coalesce(*read)


def _objects(cells: Cells, length: int) -> pd.Series[Any]:
    values: list[Any] = [None] * length
    for row, value in cells.items(length):
        values[row] = value
    return pd.Series(values, dtype=object)
