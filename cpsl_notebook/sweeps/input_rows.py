"""The rows of a sweep: a table, a series or any iterable, as variables for its prompts."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from cpsl_notebook.errors import UsageError, did_you_mean, shown

__all__ = ["InputRows"]


class InputRows:
    """The input rows of a sweep.

    Parameters
    ----------
    data : object
        A DataFrame, a Series, an object with an Arrow stream (such as a polars DataFrame), or an
        iterable of mappings, named tuples or other values.

    Raises
    ------
    UsageError
        The data are not rows, mappings and other values are mixed, or two columns have the same
        name.

    Examples
    --------
    >>> rows = InputRows([{"subject": "Refund", "First name": "Ada"}])
    >>> next(rows.variables())
    {'subject': 'Refund', 'row': {'subject': 'Refund', 'First name': 'Ada'}}
    >>> next(InputRows(["Refund"]).variables())
    {'value': 'Refund', 'row': {'value': 'Refund'}}
    """

    def __init__(self, data: Any) -> None:
        self._items: Sequence[Any] | None = None
        self._are_mappings = False
        self._frame: pd.DataFrame | None = None
        if isinstance(data, pd.DataFrame):
            self._frame = data
        elif isinstance(data, pd.Series):
            self._frame = data.to_frame("value" if data.name is None else data.name)
        elif hasattr(data, "__arrow_c_stream__"):
            self._frame = _from_arrow(data)
        elif isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping):
            self._set_items(data if isinstance(data, list | tuple | range) else list(data))
        else:
            raise UsageError(
                f"The rows must be a DataFrame, a Series or a list, not {shown(data)}.",
                label="TypeError",
            )
        if self._frame is not None:
            twice = self._frame.columns[self._frame.columns.duplicated()]
            if len(twice):
                raise UsageError(
                    f"The rows have two columns named {twice[0]!r}: rename one of them."
                )
        self._is_series = isinstance(data, pd.Series)

    def __len__(self) -> int:
        return len(self.frame) if self._items is None else len(self._items)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a table; values that are not mappings are its column ``value``."""
        if self._frame is None:
            items: Any = self._items
            if self._are_mappings:
                self._frame = pd.DataFrame.from_records(items)
            else:
                values = pd.Series(items, dtype=None if len(items) else "object")
                self._frame = pd.DataFrame({"value": values})
        return self._frame

    @property
    def index(self) -> pd.Index[Any]:
        """The index of `frame`."""
        return self.frame.index if self._items is None else pd.RangeIndex(len(self._items))

    def name(self, number: int) -> str:
        """Return the name of a row in messages: its label in the index."""
        (label,) = self.index[[number]].tolist()
        return f"Row {label!r}"

    def variables(self) -> Iterator[dict[str, Any]]:
        """Return the variables of each row: its columns that are names, and ``row`` with all."""
        for row in self._rows():
            names = {
                name: value
                for name, value in row.items()
                if isinstance(name, str) and name.isidentifier()
            }
            if self._is_series:
                names.setdefault("value", next(iter(row.values())))
            yield {"row": row, **names} if "row" in names else {**names, "row": row}

    def sessions(self, column: str) -> list[Any]:
        """Return the values of the column that groups rows into conversations; ``None`` for none.

        Raises
        ------
        UsageError
            There is no such column, or its values are not hashable.
        """
        if column not in self.frame.columns:
            names = [name for name in self.frame.columns if isinstance(name, str)]
            choice = did_you_mean(str(column), names, f"The columns are {', '.join(names)}.")
            raise UsageError(f"There is no column {column!r} for session=. {choice}")
        values = self.frame[column]
        if not all(isinstance(value, Hashable) for value in values):
            raise UsageError(
                f"The column {column!r} for session= has values that cannot be compared, such as "
                "lists. Use a column of strings or numbers."
            )
        return [
            None if missing else value for value, missing in zip(values, values.isna(), strict=True)
        ]

    def _rows(self) -> Iterator[Mapping[Any, Any]]:
        if self._items is not None:
            for item in self._items:
                yield item if self._are_mappings else {"value": item}
            return
        names = list(self.frame.columns)
        for values in self.frame.itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))

    def _set_items(self, items: Sequence[Any]) -> None:
        """Store the items of a list without converting their values."""
        if any(hasattr(item, "_asdict") for item in items):
            items = [item._asdict() if hasattr(item, "_asdict") else item for item in items]
        self._items = items
        mappings = bytes(isinstance(item, Mapping) for item in items)
        self._are_mappings = bool(mappings) and all(mappings)
        if any(mappings) and not all(mappings):
            first, other = mappings.index(True), mappings.index(False)
            raise UsageError(
                "The rows mix mappings and other values: item "
                f"{first} is of type {type(items[first]).__name__}, item {other} of type "
                f"{type(items[other]).__name__}. Pass rows of one kind."
            )


def _from_arrow(data: Any) -> pd.DataFrame:
    """Return an Arrow stream as a table with the same types, including integers with nulls."""
    import pyarrow as pa

    column = pa.chunked_array(data)
    if pa.types.is_struct(column.type):
        columns = column.combine_chunks().flatten()
        names = [column.type.field(place).name for place in range(column.type.num_fields)]
        table = pa.Table.from_arrays(columns, names=names)
    else:
        table = pa.table({"value": column})
    # pyarrow cannot select rows of string views, which newer versions of polars send.
    fields = [
        field.with_type(pa.large_string()) if pa.types.is_string_view(field.type) else field
        for field in table.schema
    ]
    frame: pd.DataFrame = table.cast(pa.schema(fields)).to_pandas(types_mapper=pd.ArrowDtype)
    return frame
