"""Strings by position, in blocks: full blocks are Arrow arrays, which need no Python objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import pyarrow as pa

__all__ = ["Texts"]

_BLOCK = 1_024  # strings in an Arrow array
_POOL = pa.system_memory_pool()  # Arrow's own pool uses 50 % more memory for arrays this small
_UNSET: Any = object()


class Texts(Sequence[str | None]):
    """A fixed-length sequence whose items are set one by one; unset items are ``None``.

    Parameters
    ----------
    size : int
        The number of strings.

    Examples
    --------
    >>> texts = Texts(3)
    >>> texts[1] = "Ada"
    >>> list(texts)
    [None, 'Ada', None]
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: dict[int, list[Any]] = {}
        self._unset: dict[int, int] = {}  # strings of each open block that are not set
        self._full: dict[int, pa.Array] = {}

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, position: int) -> str | None: ...
    @overload
    def __getitem__(self, position: slice) -> list[str | None]: ...
    def __getitem__(self, position: int | slice) -> str | list[str | None] | None:
        places = range(self._size)[position]
        if isinstance(places, range):
            return [self[place] for place in places]
        number, place = divmod(places, _BLOCK)
        if number in self._full:
            text: str | None = self._full[number][place].as_py()
            return text
        found = self._open[number][place] if number in self._open else _UNSET
        return None if found is _UNSET else found

    def __setitem__(self, position: int, text: str | None) -> None:
        number, place = divmod(position, _BLOCK)
        if number in self._full:
            if self._full[number][place].as_py() == text:
                return
            self._open[number], self._unset[number] = self._full.pop(number).to_pylist(), 0
        if number not in self._open:
            self._unset[number] = min(_BLOCK, self._size - number * _BLOCK)
            self._open[number] = [_UNSET] * self._unset[number]
        block = self._open[number]
        self._unset[number] -= block[place] is _UNSET
        block[place] = text
        if not self._unset[number]:
            self._full[number] = self._array(number)
            del self._open[number], self._unset[number]

    def arrays(self) -> Iterator[pa.Array]:
        """Return the strings as Arrow arrays of large strings, one after the other."""
        for number in range(-(-self._size // _BLOCK)):
            yield self._full[number] if number in self._full else self._array(number)

    def _array(self, number: int) -> pa.Array:
        if number not in self._open:
            return pa.nulls(min(_BLOCK, self._size - number * _BLOCK), pa.large_string())
        block = [None if text is _UNSET else text for text in self._open[number]]
        return pa.array(block, pa.large_string(), memory_pool=_POOL)
