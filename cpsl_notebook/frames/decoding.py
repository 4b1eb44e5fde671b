"""JSON decoding in two steps: first the envelope, then the records in batches.

msgspec is fast, but rejects some input that Python's decoder accepts: ``NaN``, ``1e400``, lone
surrogates. Such input is decoded by Python's decoder.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.cells import values_by_field

__all__ = ["BatchReader", "RawItems", "decode_envelope", "decode_items"]

_REJECTIONS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_FIRST_CHARACTER = re.compile(rb"\s*(.)")


class RawItems(list[msgspec.Raw]):
    """The undecoded items of a JSON array, each a view of its bytes."""

    def are_objects(self) -> bool:
        """Return whether every item is an object."""
        return all(bytes(memoryview(item)[:1]) == b"{" for item in self)


class BatchReader:
    """Reader of the values of each field from batches of records.

    Raw records are decoded to a msgspec struct with the fields seen so far, which takes half the
    time of decoding to dicts. A batch with a new field is decoded to dicts, and the
    struct gets that field.

    Examples
    --------
    >>> BatchReader().values(decode_envelope(b'[{"id": 1}, {"id": 2, "paid": true}]'))
    {'id': (1, 2), 'paid': (None, True)}
    """

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._decode: Callable[[bytes], list[Any]] | None = None

    def values(self, batch: list[Any]) -> Mapping[str, Sequence[Any]]:
        """Return the values of each field in a batch.

        Parameters
        ----------
        batch : list
            The records, decoded or `RawItems`. An item that is not an object is read as an object
            with one field, ``value``.

        Returns
        -------
        mapping of str to sequence
            The values of each field, one per record, ``None`` where a record has none.
        """
        if not isinstance(batch, RawItems):
            return values_by_field(_as_objects(batch))
        text = b"[%b]" % b",".join(batch)
        if self._decode is not None:
            with contextlib.suppress(*_REJECTIONS):
                rows = map(msgspec.structs.astuple, self._decode(text))
                return dict(zip(self._names, zip(*rows, strict=True), strict=True))
        values = values_by_field(_as_objects(_decode(text, msgspec.json.decode)))
        if not values.keys() <= self._names.keys():
            self._add_fields(values)
        return values

    def _add_fields(self, names: Iterable[str]) -> None:
        """Define the struct again, with more fields."""
        self._names |= dict.fromkeys(names)
        renamed = {f"f{number}": name for number, name in enumerate(self._names)}
        fields = [(field, Any, None) for field in renamed]
        self._decode = None
        with contextlib.suppress(
            ValueError
        ):  # msgspec rejects some names, such as those with a quote
            record = msgspec.defstruct(
                "Record", fields, rename=renamed, forbid_unknown_fields=True, gc=False
            )
            self._decode = msgspec.json.Decoder(list[record]).decode  # type: ignore[valid-type]


def decode_envelope(text: bytes | bytearray) -> Any:
    """Decode JSON, except for the items of its arrays.

    Parameters
    ----------
    text : bytes or bytearray
        The JSON.

    Returns
    -------
    object
        The decoded value, with `RawItems` for arrays; if msgspec rejects the text, plain lists.

    Raises
    ------
    cpsl_notebook.UserError
        If the text is not JSON.
    """
    return _decode(text, _decode_outer)


def decode_items(items: RawItems) -> list[Any]:
    """Return the decoded items of an array."""
    decoded: list[Any] = _decode(b"[%b]" % b",".join(items), msgspec.json.decode)
    return decoded


def _decode_outer(text: Any) -> Any:
    first = _FIRST_CHARACTER.match(text)
    if first is not None and first[1] == b"{":
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return {name: _decode_outer(value) for name, value in fields.items()}
    if first is not None and first[1] == b"[":
        return RawItems(msgspec.json.decode(text, type=list[msgspec.Raw]))
    return msgspec.json.decode(text)


def _as_objects(batch: list[Any]) -> list[dict[str, Any]]:
    if set(map(type, batch)) == {dict}:
        return batch
    return [item if isinstance(item, dict) else {"value": item} for item in batch]


def _decode(text: bytes | bytearray, decode: Callable[[Any], Any]) -> Any:
    """Decode JSON with msgspec, or with Python's decoder if msgspec rejects it."""
    with contextlib.suppress(*_REJECTIONS):
        return decode(text)
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    raise UserError("The response for the payments is not JSON. Check the address of the gateway.")
