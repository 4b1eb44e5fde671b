"""Records taken apart: for every field, what it holds in each record, kept apart by JSON's types.

Records come in batches, so that the decoded objects of one batch are all that is in memory; what
is kept of them are Arrow arrays, which hold a million strings or integers without a Python object.
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

__all__ = ["Cells", "Fields", "by_name"]

ARROW_TYPES = {
    bool: pa.bool_(),
    float: pa.float64(),
    int: pa.int64(),
    str: pa.large_string(),
}
_POOL = pa.system_memory_pool()  # Arrow's own takes half as much again for arrays as small as these
_SURROGATES = re.compile("[\ud800-\udfff]")  # halves of a character, which JSON can spell
_NO_FIELDS: dict[str, Any] = {}


class Cells:
    """The values of one field, over all records.

    Attributes
    ----------
    others
        The row and the value of what has no Arrow array: lists, empty objects, integers beyond 64
        bits, NaN, text that is no Unicode.
    """

    def __init__(self) -> None:
        self.others: list[tuple[int, Any]] = []
        self._chunks: dict[type, list[tuple[int, pa.Array]]] = {}

    def add(self, values: Sequence[Any], start: int) -> None:
        """Take the values of a batch of records, ``None`` where there is none.

        Parameters
        ----------
        values
            One for each record of the batch.
        start
            The row of the first one.
        """
        kinds = set(map(type, values)) - {type(None)}
        for kind in kinds:
            mine = values if len(kinds) == 1 else [v if type(v) is kind else None for v in values]
            array = self._array(mine, kind, start)
            if array is not None:
                self._chunks.setdefault(kind, []).append((start, array))

    def add_texts(self, values: Sequence[Any], start: int) -> bool:
        """Take values if they are all texts, as most are, and say whether they were."""
        if type(next(filter(None, values), None)) is not str:
            return False
        try:
            array = pa.array(values, ARROW_TYPES[str], memory_pool=_POOL)
        except (TypeError, ValueError):
            return False
        self._chunks.setdefault(str, []).append((start, array))
        return True

    def count(self, *kinds: type) -> int:
        """Return how many values are of these types."""
        arrays = (array for kind in kinds for _, array in self._chunks.get(kind, ()))
        return sum(len(array) - array.null_count for array in arrays)

    def __len__(self) -> int:
        """Return how many values there are."""
        return self.count(*self._chunks) + len(self.others)

    def column(self, kind: type, length: int) -> pa.ChunkedArray:
        """Return the values of one type, null where a row has none.

        Parameters
        ----------
        kind
            ``bool``, ``float``, ``int`` or ``str``.
        length
            The number of rows.
        """
        arrow, pieces, row = ARROW_TYPES[kind], [], 0
        for start, array in self._chunks.get(kind, ()):
            pieces += [pa.nulls(start - row, arrow), array] if start > row else [array]
            row = start + len(array)
        return pa.chunked_array([*pieces, pa.nulls(length - row, arrow)], arrow)

    def items(self, length: int) -> Iterator[tuple[int, Any]]:
        """Iterate over every value as it came, with its row."""
        for kind in self._chunks:
            column = self.column(kind, length)
            rows = pc.indices_nonzero(column.is_valid())
            yield from zip(rows.to_pylist(), column.take(rows).to_pylist(), strict=True)
        yield from self.others

    def _array(self, values: Sequence[Any], kind: type, start: int) -> pa.Array | None:
        """Return an array of the values that one can hold; keep the rest."""
        if kind not in ARROW_TYPES:
            self._keep(values, start)
            return None
        try:
            array = pa.array(values, ARROW_TYPES[kind], memory_pool=_POOL)
        except (OverflowError, UnicodeEncodeError):
            self._keep([None if _holdable(value) else value for value in values], start)
            array = pa.array([v if _holdable(v) else None for v in values], ARROW_TYPES[kind])
        # A NaN is no number, and pandas would take it for a value in one version, not in another.
        if kind is float and pc.any(pc.is_nan(array)).as_py():
            self._keep([value if value != value else None for value in values], start)
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
        return array

    def _keep(self, values: Sequence[Any], start: int) -> None:
        self.others += [(start + i, value) for i, value in enumerate(values) if value is not None]


class Fields:
    """The fields of the records, in order of appearance, and the fields within those."""

    def __init__(self) -> None:
        self._cells: dict[str, Cells] = {}
        self._inner: dict[str, Fields] = {}

    def add(self, batch: Mapping[str, Sequence[Any]], start: int = 0) -> None:
        """Take the values of a batch of records, the first of which is row *start*."""
        for name, values in batch.items():
            cells = self._cells.setdefault(name, Cells())
            if cells.add_texts(values, start):
                continue
            kinds = set(map(type, values))
            if dict in kinds:
                whole = kinds == {dict} and all(values)
                inner = values if whole else [v if type(v) is dict else _NO_FIELDS for v in values]
                self._inner.setdefault(name, Fields()).add(by_name(inner), start)
                if whole:
                    continue
                values = [None if type(value) is dict and value else value for value in values]
            cells.add(values, start)

    def columns(self, taken: set[str]) -> dict[str, Cells]:
        """Return the cells of every field, nested ones with dots in their names.

        Parameters
        ----------
        taken
            Names that are not free; a field of such a name, or of another field's, gets a ``_``.
        """
        columns: dict[str, Cells] = {}
        for name, cells in self._walk(""):
            while name in taken or name in columns:
                name += "_"
            columns[name] = cells
        return columns

    def _walk(self, prefix: str) -> Iterator[tuple[str, Cells]]:
        for name, cells in self._cells.items():
            inner = self._inner.get(name)
            within = inner is not None and bool(inner._cells)
            if within:  # an object that is empty in one record is then no value of its own
                cells.others = [(row, value) for row, value in cells.others if value != {}]
            if len(cells) or not within:
                yield prefix + name, cells
            if inner is not None:
                yield from inner._walk(f"{prefix}{name}.")


def by_name(records: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Turn records into the values of each field, ``None`` where a record has none."""
    names = list(records[0])
    if len(names) > 1 and set(map(len, records)) == {len(names)}:
        with contextlib.suppress(KeyError):
            rows = list(map(operator.itemgetter(*names), records))  # if all have the same fields
            return dict(zip(names, zip(*rows, strict=True), strict=True))
    every = dict.fromkeys(itertools.chain.from_iterable(records))
    return {name: tuple([record.get(name) for record in records]) for name in every}


def _holdable(value: Any) -> bool:
    """Say whether an Arrow array can hold an integer, or a text."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or not _SURROGATES.search(value)
