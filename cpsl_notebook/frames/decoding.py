"""JSON, as far as it is needed: at first the envelope, and the records a batch at a time.

The fast decoder refuses what Python's own takes in a way of its own (``NaN``, ``1e400``, half
characters); those go to Python's.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.cells import by_name

__all__ = ["Records", "Undecoded", "opened"]

_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_FIRST = re.compile(rb"\s*(.)")


class Undecoded(list[msgspec.Raw]):
    """The items of a JSON array, each as its bytes within the answer."""

    def holds_objects(self) -> bool:
        """Say whether every item is an object."""
        return all(bytes(memoryview(item)[:1]) == b"{" for item in self)


class Records:
    """Turns records, decoded or not, into the values of each field.

    Of what is not decoded, a class is made with the fields that the records had so far: to fill one
    in, and to read its values, takes half the time of a dict. A record with a field more is read as
    a dict again, and adds to the class.

    Examples
    --------
    >>> Records().values(opened(b'[{"id": 1}, {"id": 2, "paid": true}]'))
    {'id': (1, 2), 'paid': (None, True)}
    """

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._decode: Callable[[bytes], list[Any]] | None = None

    def values(self, batch: list[Any]) -> Mapping[str, Sequence[Any]]:
        """Return the values of each field in a batch; an item that is no object is its ``value``."""
        if not isinstance(batch, Undecoded):
            return by_name(_objects(batch))
        text = b"[%b]" % b",".join(batch)
        if self._decode is not None:
            with contextlib.suppress(*_REFUSALS):
                rows = map(msgspec.structs.astuple, self._decode(text))
                return dict(zip(self._names, zip(*rows, strict=True), strict=True))
        values = by_name(_objects(_decoded(text, msgspec.json.decode)))
        if not values.keys() <= self._names.keys():
            self._learn(values)
        return values

    def _learn(self, names: Mapping[str, Any]) -> None:
        """Make the class, with a field for each name."""
        self._names |= dict.fromkeys(names)
        renamed = {f"f{number}": name for number, name in enumerate(self._names)}
        fields = [(field, Any, None) for field in renamed]
        self._decode = None
        with contextlib.suppress(ValueError):  # a name with a quote in it, for one
            record = msgspec.defstruct(
                "Record", fields, rename=renamed, forbid_unknown_fields=True, gc=False
            )
            self._decode = msgspec.json.Decoder(list[record]).decode  # type: ignore[valid-type]


def opened(text: bytes | bytearray) -> Any:
    """Decode JSON but for the items of its arrays, which are `Undecoded`.

    Raises
    ------
    UserError
        It is no JSON.
    """
    return _decoded(text, _opened)


def _opened(text: Any) -> Any:
    first = _FIRST.match(text)
    if first is not None and first[1] == b"{":
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return {name: _opened(value) for name, value in fields.items()}
    if first is not None and first[1] == b"[":
        return Undecoded(msgspec.json.decode(text, type=list[msgspec.Raw]))
    return msgspec.json.decode(text)


def _objects(batch: list[Any]) -> list[dict[str, Any]]:
    if set(map(type, batch)) == {dict}:
        return batch
    return [item if isinstance(item, dict) else {"value": item} for item in batch]


def _decoded(text: bytes | bytearray, decode: Callable[[Any], Any]) -> Any:
    """Decode JSON the fast way, or Python's where that refuses."""
    with contextlib.suppress(*_REFUSALS):
        return decode(text)
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    raise UserError("The payments came as something that is no JSON: check the gateway's address.")
