"""The values of each field of the records, stored by JSON type in Arrow arrays.

Records are added in batches, so that only the decoded objects of one batch are in memory. Their
values are stored in Arrow arrays, which need no Python objects.

Nested objects are flattened into fields, unless an object has too many keys: metadata with a key per
order would become a column per order.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MAX_KEYS", "Cells", "Fields", "values_by_field"]

MAX_KEYS = 200  # different keys of a nested object, in all records; more are kept as JSON text
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
    are_json : bool
        Whether the values are objects, stored as JSON text.
    """

    def __init__(self, *, are_json: bool = False) -> None:
        self.others: list[tuple[int, Any]] = []
        self.are_json = are_json
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

    def items(self) -> Iterator[tuple[int, Any]]:
        """Iterate over the row and the original of every value."""
        for kind, chunks in self._chunks.items():
            start, last = chunks[-1]
            column = self.column(kind, start + len(last))
            rows = pc.indices_nonzero(column.is_valid())
            yield from zip(rows.to_pylist(), column.take(rows).to_pylist(), strict=True)
        yield from self.others

    def _to_array(self, values: Sequence[Any], kind: type, start: int) -> pa.Array | None:
        """Return the values that fit an Arrow array, and store the others unchanged."""
        if kind not in _ARROW_TYPES:
            self._add_others(values, start)
            return None
        try:
            array = pa.array(values, _ARROW_TYPES[kind], memory_pool=_POOL)
        except (OverflowError, UnicodeEncodeError):
            self._add_others([None if _fits_arrow(value) else value for value in values], start)
            array = pa.array([v if _fits_arrow(v) else None for v in values], _ARROW_TYPES[kind])
        # Versions of pandas differ in whether a NaN in such a column is a missing value.
        if kind is float and pc.any(pc.is_nan(array)).as_py():
            self._add_others([value if value != value else None for value in values], start)
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
        return array

    def _add_others(self, values: Sequence[Any], start: int) -> None:
        self.others += [(start + i, value) for i, value in enumerate(values) if value is not None]


class Fields:
    """All fields of the records, in order of appearance, with the fields of nested objects."""

    def __init__(self) -> None:
        self._cells: dict[str, Cells] = {}
        self._nested: dict[str, Fields] = {}
        self._texts: dict[str, Cells] = {}  # nested objects with many keys, as JSON

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
                self._add_objects(name, objects, start)
                if only_objects:
                    continue
                values = [None if type(value) is dict and value else value for value in values]
            cells.add(values, start)

    def _add_objects(self, name: str, objects: Sequence[dict[str, Any]], start: int) -> None:
        """Add the objects of a field; an empty one counts as a record without an object."""
        if name not in self._texts:
            nested = self._nested.setdefault(name, Fields())
            batch = values_by_field(objects, MAX_KEYS)
            if batch is not None and len(nested._cells.keys() | batch.keys()) <= MAX_KEYS:
                nested.add(batch, start)
                return
            self._texts[name] = Cells(are_json=True)
            earlier = self._nested.pop(name)._objects()
            self._add_texts(name, [earlier.get(row, _NO_FIELDS) for row in range(start)], 0)
        self._add_texts(name, list(map(_without_nulls, objects)), start)

    def _add_texts(self, name: str, objects: Sequence[dict[str, Any]], start: int) -> None:
        texts = [json.dumps(found, sort_keys=True) if found else None for found in objects]
        self._texts[name].add(texts, start)

    def _objects(self) -> dict[int, dict[str, Any]]:
        """Return the objects that were added, by row, without keys that are null."""
        found: dict[int, dict[str, Any]] = {}
        columns = {name: cells.items() for name, cells in self._cells.items()}
        for name, items in columns.items():
            for row, value in items:
                found.setdefault(row, {})[name] = value
        for name, texts in self._texts.items():
            for row, text in texts.items():
                found.setdefault(row, {})[name] = json.loads(text)
        for name, nested in self._nested.items():
            for row, value in nested._objects().items():
                found.setdefault(row, {})[name] = value
        return found

    def columns(self, reserved: set[str]) -> dict[str, Cells]:
        """Return the cells of every field by column name.

        Parameters
        ----------
        reserved : set of str
            Names that no column may have.

        Returns
        -------
        dict of str to Cells
            Nested fields have names with dots, unless they are more than `MAX_KEYS`; then their
            object is one column. A name that is reserved or already used gets a trailing ``_``.
        """
        columns: dict[str, Cells] = {}
        for name, cells in self._walk(""):
            while name in reserved or name in columns:
                name += "_"
            columns[name] = cells
        return columns

    def _walk(self, prefix: str) -> Iterator[tuple[str, Cells]]:
        for name, cells in self._cells.items():
            nested, texts = self._nested.get(name), self._texts.get(name)
            has_columns = texts is not None or (nested is not None and bool(nested._cells))
            if has_columns:  # an empty object is a record without the nested fields
                cells.others = [(row, value) for row, value in cells.others if value != {}]
            if len(cells) or not has_columns:
                yield prefix + name, cells
            if texts is not None:
                yield prefix + name, texts
            if nested is not None:
                yield from nested._walk(f"{prefix}{name}.")


@overload
def values_by_field(records: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]: ...
@overload
def values_by_field(
    records: Sequence[dict[str, Any]], most: int
) -> dict[str, Sequence[Any]] | None: ...
def values_by_field(
    records: Sequence[dict[str, Any]], most: int | None = None
) -> dict[str, Sequence[Any]] | None:
    """Return the values of each field, one per record, ``None`` where a record has none.

    Parameters
    ----------
    records : sequence of dict
        At least one record.
    most : int, optional
        The largest number of fields.

    Returns
    -------
    dict of str to sequence or None
        Field to values; ``None`` if there are more than *most* fields.

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
    if most is not None and len(every) > most:
        return None
    return {name: tuple([record.get(name) for record in records]) for name in every}


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object without nulls and without objects that contain only nulls."""
    found = {}
    for key, item in value.items():
        if type(item) is dict and item:
            item = _without_nulls(item) or None
        if item is not None:
            found[key] = item
    return found


def _fits_arrow(value: Any) -> bool:
    """Return whether an Arrow array can hold an integer or a string."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or not _SURROGATES.search(value)
