"""Typed columns: choosing a type by the name and values of a field, and converting the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cpsl_notebook.frames import timestamps
from cpsl_notebook.frames.cells import Cells
from cpsl_notebook.frames.field_names import last_word

__all__ = ["STRING", "categorical", "typed_column"]

STRING = pd.StringDtype("pyarrow")  # the default of pandas 3; that of 2.2 uses Python objects

Reader = Callable[[Cells, int], pa.ChunkedArray]

_ALWAYS_TIMES = {"at", "datetime", "timestamp"}
_TIME_WORDS = {
    *_ALWAYS_TIMES,
    *("created", "date", "day", "epoch", "on", "time", "ts", "updated", "when"),
}
_CATEGORY_WORDS = {"app", "currency", "interval", "kind", "mode", "state", "status", "type"}
_ID_WORDS = {"id", "key", "ref", "reference", "uid", "uuid"} | {
    *("buyer", "client", "customer", "payer", "purchaser", "subscriber", "subscription", "user")
}
_LARGEST_EXACT = 2**53  # floats represent every integer up to here
_PANDAS_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.large_string(): STRING,
}


def typed_column(
    name: str, cells: Cells, length: int
) -> tuple[pd.Series[Any], list[tuple[int, Any]]]:
    """Return the values of a field as a column of one type, and the values that do not fit it.

    Parameters
    ----------
    name : str
        Name of the field. Its last word may say what the column holds.
    cells : Cells
        The values.
    length : int
        Number of rows.

    Returns
    -------
    column : pandas.Series
        The values; missing where a row has none, or one that does not fit.
    misfits : list of (int, object)
        Row and original of each value that does not fit.
    """
    word = "" if cells.are_json else last_word(name)
    read = _choose_reader(word, cells, length)
    if read is None:
        return _as_objects(cells, length), []
    column = read(cells, length)
    misfits = []
    if length - column.null_count < len(cells):
        missing = column.is_null().to_numpy()
        misfits = [(row, value) for row, value in cells.items() if missing[row]]
    if word in _CATEGORY_WORDS and column.type == pa.large_string():
        return categorical(column), misfits
    series: pd.Series[Any] = column.combine_chunks().to_pandas(types_mapper=_PANDAS_TYPES.get)
    return series, misfits


def categorical(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Return strings as a categorical column.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Large strings.

    Returns
    -------
    pandas.Series
        ``category``, with the categories in alphabetical order.
    """
    names = sorted(column.unique().drop_null().to_pylist())
    codes = pc.index_in(column, pa.array(names, pa.large_string()))
    found = pd.Categorical.from_codes(
        codes.fill_null(-1).to_numpy(), categories=pd.Index(names, dtype="str")
    )
    return pd.Series(found)


def _choose_reader(word: str, cells: Cells, length: int) -> Reader | None:
    """Return the reader of a column; ``None`` if its values are kept as objects."""
    if word == "cents":
        return _read_cents
    if word in _TIME_WORDS and _is_time(word, cells, length):
        return _read_times
    if word in _ID_WORDS and _is_mixed_id(cells):
        return _read_ids
    counts = {
        _read_numbers: cells.count(int, float),
        _read_strings: cells.count(str),
        _read_booleans: cells.count(bool),
        None: len(cells.others),
    }
    read = max(counts, key=lambda reader: counts[reader])  # in a tie, the first
    if not len(cells) or read is _read_strings:
        whole = counts[_read_strings] == len(cells) > 0
        is_time = whole and timestamps.are_full_times(cells.column(str, length))
        return _read_times if is_time else _read_strings
    if read is _read_numbers and not cells.count(float):
        return _read_integers
    return read


def _is_time(word: str, cells: Cells, length: int) -> bool:
    """Return whether a column with the name of a time holds times, judging by its values."""
    if word in _ALWAYS_TIMES or not len(cells):
        return True
    texts = timestamps.parse_strings(cells.column(str, length))
    if texts.null_count < length:
        return True
    read: int = length - _read_times(cells, length).null_count
    return 2 * read > len(cells)


def _is_mixed_id(cells: Cells) -> bool:
    """Return whether ids are strings and integers, or include integers of more than 64 bits."""
    large = sum(type(value) is int for _, value in cells.others)
    is_id = cells.count(str, int) + large == len(cells)
    return is_id and bool(large or (cells.count(str) and cells.count(int)))


def _read_ids(cells: Cells, length: int) -> pa.ChunkedArray:
    """Read strings and integers of any size as strings."""
    read = pc.coalesce(cells.column(str, length), cells.column(int, length).cast(pa.large_string()))
    if not cells.others:
        return read
    texts = read.to_pylist()
    for row, value in cells.others:
        texts[row] = str(value)
    return pa.chunked_array([texts], pa.large_string())


def _read_strings(cells: Cells, length: int) -> pa.ChunkedArray:
    return cells.column(str, length)


def _read_booleans(cells: Cells, length: int) -> pa.ChunkedArray:
    return cells.column(bool, length)


def _read_integers(cells: Cells, length: int) -> pa.ChunkedArray:
    return cells.column(int, length)


def _read_numbers(cells: Cells, length: int) -> pa.ChunkedArray:
    """Read floats, and integers that a float represents exactly."""
    integers = cells.column(int, length)
    inexact = pc.or_(pc.greater(integers, _LARGEST_EXACT), pc.less(integers, -_LARGEST_EXACT))
    exact = pc.if_else(inexact, None, integers).cast(pa.float64())
    return pc.coalesce(cells.column(float, length), exact)


def _read_cents(cells: Cells, length: int) -> pa.ChunkedArray:
    """Read whole numbers, also those written as ``1500.0`` or ``"1500"``."""
    integers = cells.column(int, length)
    if cells.count(float):
        floats = cells.column(float, length)
        whole = pc.and_(pc.equal(pc.floor(floats), floats), pc.less(pc.abs(floats), float(2**63)))
        integers = pc.coalesce(integers, pc.if_else(whole, floats, None).cast(pa.int64()))
    if cells.count(str):
        texts = cells.column(str, length)
        digits = pc.if_else(pc.match_substring_regex(texts, r"^-?\d{1,19}$"), texts, None)
        integers = pc.coalesce(integers, timestamps.cast_or_null(digits, pa.int64()))
    return integers


def _read_times(cells: Cells, length: int) -> pa.ChunkedArray:
    """Read times that are strings or epochs."""
    read = []
    if cells.count(str):
        read.append(timestamps.parse_strings(cells.column(str, length)))
    for kind in (int, float):
        if cells.count(kind):
            read.append(
                timestamps.parse_epochs(cells.column(kind, length).cast(pa.float64(), safe=False))
            )
    if not read:
        return pa.chunked_array([pa.nulls(length, timestamps.TIMESTAMP)])
    return read[0] if len(read) == 1 else pc.coalesce(*read)


def _as_objects(cells: Cells, length: int) -> pd.Series[Any]:
    values: list[Any] = [None] * length
    for row, value in cells.items():
        values[row] = value
    return pd.Series(values, dtype=object)
