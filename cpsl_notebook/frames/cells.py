"""The values of each field of the records, stored by JSON type in Arrow arrays.

Records are added in batches, so that only the decoded objects of one batch are in memory. Their
values are kept in Arrow arrays, which hold a million strings or integers without Python objects.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Cells", "Fields", "values_by_field"]

_ARROW_TYPES = {
    bool: pa.bool_(),
    float: pa.float64(),
    int: pa.int64(),
    str: pa.large_string(),
}
_POOL = pa.system_memory_pool()  # Arrow's own pool uses 50 % more memory for arrays this small
_SURROGATES = re.compile("[\ud800-\udfff]")  # JSON can contain lone ones, UTF-8 cannot
_NO_FIELDS: dict[str, Any] = {}


class Cells:
    """The values of one field in all records.

    Attributes
    ----------
    others : list of (int, object)
        Row and value of each value that is not in an Arrow array: lists, empty objects, integers
        beyond 64 bits, NaN, and strings with lone surrogates.
    """

    def __init__(self) -> None:
        self.others: list[tuple[int, Any]] = []
        self._chunks: dict[type, list[tuple[int, pa.Array]]] = {}

    def add(self, values: Sequence[Any], start: int) -> None:
        """Add the values of a batch of records.

        Parameters
        ----------
        values : sequence
            One value per record of the batch, ``None`` where a record has none.
        start : int
            Row of the first record of the batch.
        """
        kinds = set(map(type, values)) - {type(None)}
        for kind in kinds:
            only = values if len(kinds) == 1 else [v if type(v) is kind else None for v in values]
            array = self._to_array(only, kind, start)
            if array is not None:
                self._chunks.setdefault(kind, []).append((start, array))

    def add_strings(self, values: Sequence[Any], start: int) -> bool:
        """Add the values of a batch if all are strings, and return whether they were added."""
        if type(next(filter(None, values), None)) is not str:
            return False
        try:
            array = pa.array(values, _ARROW_TYPES[str], memory_pool=_POOL)
        except (TypeError, ValueError):
            return False
        self._chunks.setdefault(str, []).append((start, array))
        return True

    def count(self, *kinds: type) -> int:
        """Return the number of values of these types."""
        arrays = (array for kind in kinds for _, array in self._chunks.get(kind, ()))
        return sum(len(array) - array.null_count for array in arrays)

    def __len__(self) -> int:
        """Return the number of values."""
        return self.count(*self._chunks) + len(self.others)

    def column(self, kind: type, length: int) -> pa.ChunkedArray:
        """Return the values of one type as a column.

        Parameters
        ----------
        kind : type
            ``bool``, ``float``, ``int`` or ``str``.
        length : int
            Number of rows.

        Returns
        -------
        pyarrow.ChunkedArray
            The values; null where a row has none of this type.
        """
        arrow, pieces, row = _ARROW_TYPES[kind], [], 0
        for start, array in self._chunks.get(kind, ()):
            pieces += [pa.nulls(start - row, arrow), array] if start > row else [array]
            row = start + len(array)
        return pa.chunked_array([*pieces, pa.nulls(length - row, arrow)], arrow)

    def items(self, length: int) -> Iterator[tuple[int, Any]]:
        """Iterate over the row and the original of every value."""
        for kind in self._chunks:
            column = self.column(kind, length)
            rows = pc.indices_nonzero(column.is_valid())
            yield from zip(rows.to_pylist(), column.take(rows).to_pylist(), strict=True)
        yield from self.others

    def _to_array(self, values: Sequence[Any], kind: type, start: int) -> pa.Array | None:
        """Return the values that fit an Arrow array, and keep the others as they are."""
        if kind not in _ARROW_TYPES:
            self._keep(values, start)
            return None
        try:
            array = pa.array(values, _ARROW_TYPES[kind], memory_pool=_POOL)
        except (OverflowError, UnicodeEncodeError):
            self._keep([None if _fits_arrow(value) else value for value in values], start)
            array = pa.array([v if _fits_arrow(v) else None for v in values], _ARROW_TYPES[kind])
        # Versions of pandas differ in whether a NaN in such a column is a missing value.
        if kind is float and pc.any(pc.is_nan(array)).as_py():
            self._keep([value if value != value else None for value in values], start)
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
        return array

    def _keep(self, values: Sequence[Any], start: int) -> None:
        self.others += [(start + i, value) for i, value in enumerate(values) if value is not None]


class Fields:
    """All fields of the records, in order of appearance, with the fields of nested objects."""

    def __init__(self) -> None:
        self._cells: dict[str, Cells] = {}
        self._nested: dict[str, Fields] = {}

    def add(self, batch: Mapping[str, Sequence[Any]], start: int = 0) -> None:
        """Add the values of a batch of records.

        Parameters
        ----------
        batch : mapping of str to sequence
            The values of each field, one per record, ``None`` where a record has none.
        start : int
            Row of the first record of the batch.
        """
        for name, values in batch.items():
            cells = self._cells.setdefault(name, Cells())
            if cells.add_strings(values, start):
                continue
            kinds = set(map(type, values))
            if dict in kinds:
                only_objects = kinds == {dict} and all(values)
                objects = (
                    values
                    if only_objects
                    else [v if type(v) is dict else _NO_FIELDS for v in values]
                )
                self._nested.setdefault(name, Fields()).add(values_by_field(objects), start)
                if only_objects:
                    continue
                values = [None if type(value) is dict and value else value for value in values]
            cells.add(values, start)

    def columns(self, reserved: set[str]) -> dict[str, Cells]:
        """Return the cells of every field by column name.

        Parameters
        ----------
        reserved : set of str
            Names that no column may have.

        Returns
        -------
        dict of str to Cells
            Nested fields have names with dots. A name that is reserved or already used gets a
            trailing ``_``.
        """
        columns: dict[str, Cells] = {}
        for name, cells in self._walk(""):
            while name in reserved or name in columns:
                name += "_"
            columns[name] = cells
        return columns

    def _walk(self, prefix: str) -> Iterator[tuple[str, Cells]]:
        for name, cells in self._cells.items():
            nested = self._nested.get(name)
            has_columns = nested is not None and bool(nested._cells)
            if has_columns:  # then an empty object is a record without the nested fields
                cells.others = [(row, value) for row, value in cells.others if value != {}]
            if len(cells) or not has_columns:
                yield prefix + name, cells
            if nested is not None:
                yield from nested._walk(f"{prefix}{name}.")


def values_by_field(records: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of each field, one per record, ``None`` where a record has none.

    Parameters
    ----------
    records : sequence of dict
        At least one record.

    Returns
    -------
    dict of str to sequence
        Field to values.

    Examples
    --------
    >>> values_by_field([{"id": 1}, {"id": 2, "paid": True}])
    {'id': (1, 2), 'paid': (None, True)}
    """
    names = list(records[0])
    if len(names) > 1 and set(map(len, records)) == {len(names)}:
        with contextlib.suppress(KeyError):  # faster, if all records have the same fields
            rows = list(map(operator.itemgetter(*names), records))
            return dict(zip(names, zip(*rows, strict=True), strict=True))
    every = dict.fromkeys(itertools.chain.from_iterable(records))
    return {name: tuple([record.get(name) for record in records]) for name in every}


def _fits_arrow(value: Any) -> bool:
    """Return whether an Arrow array can hold an integer or a string."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or not _SURROGATES.search(value)
