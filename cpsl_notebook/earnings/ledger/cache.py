"""A cache with one value, such as a ledger, for each DataFrame.

All analyses of a DataFrame share one ledger, which is built again after the DataFrame has changed.
Checksums of the columns detect a change in a small fraction of the time that building takes.
"""

from __future__ import annotations

import pickle
import weakref
import zlib
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import pandas as pd
import pyarrow as pa

__all__ = ["SIZE", "FrameCache", "contents"]

SIZE = 8
"""Number of values that a cache holds, those stored last."""

_T = TypeVar("_T")


class FrameCache(Generic[_T]):
    """A cache with one value for each DataFrame, valid while a key stays the same.

    A value is dropped together with its DataFrame, so it must not refer to it.

    Examples
    --------
    >>> cache, frame = FrameCache[str](), pd.DataFrame()
    >>> cache.put(frame, "key", "value")
    >>> cache.get(frame, "key"), cache.get(frame, "another key"), cache.get(pd.DataFrame(), "key")
    ('value', None, None)
    """

    def __init__(self) -> None:
        self._values: dict[int, tuple[weakref.ref[pd.DataFrame], Hashable, _T]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, frame: pd.DataFrame, key: Hashable) -> _T | None:
        """Return the value of a DataFrame, or None if it has none for this key."""
        reference, known, value = self._values.get(id(frame), (None, None, None))
        return value if reference and reference() is frame and known == key else None

    def put(self, frame: pd.DataFrame, key: Hashable, value: _T) -> None:
        """Store a value for a DataFrame, in place of its earlier one."""
        number, values = id(frame), self._values

        def drop(reference: weakref.ref[pd.DataFrame]) -> None:
            if values.get(number, (None,))[0] is reference:
                values.pop(number, None)

        values.pop(number, None)
        values[number] = weakref.ref(frame, drop), key, value
        for oldest in list(values)[:-SIZE]:
            values.pop(oldest, None)


def contents(frame: pd.DataFrame) -> Hashable:
    """Return a key that changes if a DataFrame changes.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any DataFrame.

    Returns
    -------
    hashable
        Number of rows, and name, type and checksum of each column, in their order.

    Examples
    --------
    >>> frame = pd.DataFrame({"cents": [1500, 2500]})
    >>> before = contents(frame)
    >>> frame.loc[1, "cents"] = 2501
    >>> contents(frame) == before
    False
    """
    columns = ((name, str(column.dtype), _checksum(column)) for name, column in frame.items())
    return len(frame), *columns


def _checksum(column: pd.Series[Any]) -> Hashable:
    """Return the type and a checksum of the values of a column in their order."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _checksum(column.cat.codes), _checksum(pd.Series(column.cat.categories))
    try:
        array: Any = pa.array(column, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return _objects_checksum(column)  # such as values of several types
    if pa.types.is_dictionary(array.type):  # its buffers do not have the values
        array = array.cast(array.type.value_type)
    checksum = 0
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        # A slice shares the buffers of the whole array.
        checksum = zlib.crc32(repr((chunk.offset, len(chunk))).encode(), checksum)
        for buffer in chunk.buffers():
            checksum = zlib.crc32(b"" if buffer is None else buffer, checksum)
    # The same buffers can be 1.5 and 15, or objects with other keys.
    return str(array.type), checksum


def _objects_checksum(column: pd.Series[Any]) -> Hashable:
    """Return a checksum of objects; one that equals no other if an object cannot be pickled."""
    try:
        # A repr would not do: it leaves out most of a long array.
        return "objects", zlib.crc32(pickle.dumps(column.tolist()))
    except Exception:
        return object()
