"""The service's responses: a list of records, or an envelope around one.

A response is either decoded JSON or its bytes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.decoding import BatchReader, RawItems, decode_envelope, decode_items
from cpsl_notebook.frames.field_names import words

__all__ = ["find_records", "read_batches", "unwrap_summary"]

_BATCH_SIZE = 1 << 10  # records; small enough that the memory of their objects is reused
_MORE_NAMES = {"hasmore", "more", "next", "cursor", "hasnext", "hasnextpage", "truncated"} | {
    f"next{what}" for what in ("cursor", "page", "pagetoken", "token", "url", "link", "offset")
}
_MORE_NAMES |= {"istruncated", "partial", "ispartial", "incomplete", "continuationtoken"}
_LAST_NAMES = {"complete", "iscomplete", "last", "islast", "lastpage"}
_COUNT_NAMES = {"count", "total"} | {
    f"total{what}"
    for what in ("count", "results", "size", "records", "items", "elements", "entries", "rows")
}
_PAGE_COUNT_NAMES = {"pages", "totalpages", "pagecount", "pagestotal", "numpages", "lastpage"}
_PAGE_NAMES = {"page", "currentpage", "pagenumber"}
_LINK_NAMES = {"links", "link"}
_NOT_RECORDS = {"error", "errors", "warnings"} | _LINK_NAMES  # their lists are not records


def find_records(answer: Any, app: str) -> list[Any]:
    """Return the list of records in a response.

    Parameters
    ----------
    answer : object
        The service's response, decoded or as the bytes of its JSON: the list itself, or an envelope
        that contains it at any depth.
    app : str
        Name of the app, for error messages.

    Returns
    -------
    list
        The records; `~cpsl_notebook.frames.decoding.RawItems` if the response was passed as bytes.

    Raises
    ------
    cpsl_notebook.UserError
        If there is no list or more than one, or the envelope says that the list is incomplete.
    """
    if isinstance(answer, bytes | bytearray):
        answer = decode_envelope(answer)
    found = _find_list(answer)
    if found is None:
        raise UserError(
            f"The response for the payments of {app} contains no list of records. "
            "Check the address of the gateway."
        )
    if isinstance(answer, dict) and _is_partial(answer, len(found)):
        raise UserError(
            f"The service returned only some of the payments of {app}, so totals would be wrong. "
            f"Run `cpsl payments {shlex.quote(app)} --json` to see the response."
        )
    return found


def read_batches(records: list[Any]) -> Iterator[tuple[int, Mapping[str, Sequence[Any]]]]:
    """Iterate over records in batches.

    Parameters
    ----------
    records : list
        What `find_records` returned.

    Yields
    ------
    start : int
        Row of the first record of the batch.
    values : mapping of str to sequence
        The values of each field, one per record of the batch.
    """
    reader = BatchReader()
    for start in range(0, len(records), _BATCH_SIZE):
        yield start, reader.values(type(records)(records[start : start + _BATCH_SIZE]))


def unwrap_summary(answer: Any, app: str) -> dict[str, Any]:
    """Return the object of an earnings response, without the envelope around it.

    Parameters
    ----------
    answer : object
        The service's decoded response.
    app : str
        Name of the app, for error messages.

    Returns
    -------
    dict
        The fields of the summary.

    Raises
    ------
    cpsl_notebook.UserError
        If the response is not an object.
    """
    if not isinstance(answer, dict):
        raise UserError(
            f"The response for the earnings of {app} is not a JSON object. "
            "Check the address of the gateway."
        )
    values = list(answer.values())
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else answer


def _find_list(answer: Any) -> list[Any] | None:
    """Return the only list of objects; ``None`` if there is none, or more than one."""
    if isinstance(answer, list):
        return answer
    if not isinstance(answer, dict):
        return None
    if "payments" in answer and not isinstance(answer["payments"], dict):
        payments = answer["payments"] or []
        return payments if isinstance(payments, list) else None
    fields = {key: value for key, value in answer.items() if _plain(key) not in _NOT_RECORDS}
    lists = [value for value in fields.values() if _is_list_of_objects(value)]
    objects = [value for value in fields.values() if isinstance(value, dict)]
    if len(lists) == 1:
        return lists[0]  # type: ignore[no-any-return]
    if not lists and len(objects) == 1:
        return _find_list(objects[0])
    return [] if not answer else None


def _is_list_of_objects(value: Any) -> bool:
    """Return whether a value is a list that contains only objects."""
    if isinstance(value, RawItems):
        return value.are_objects()
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_partial(answer: dict[str, Any], count: int) -> bool:
    """Return whether an envelope, at any depth, says that there are more than *count* records."""
    for key, value in answer.items():
        name = _plain(key)
        if name in _MORE_NAMES and value:
            return True
        if name in _LAST_NAMES and value is False:
            return True
        if name in _COUNT_NAMES and _integer(value) > count:
            return True
        if name in _PAGE_COUNT_NAMES | _PAGE_NAMES and _integer(value) > 1:
            return True
        if name in _LINK_NAMES and isinstance(value, list) and _link_to_next_page(value):
            return True
        if isinstance(value, dict) and _is_partial(value, count):
            return True
    return False


def _plain(name: str) -> str:
    """Normalize a key, so that ``totalPages`` and ``total_pages`` are equal."""
    return "".join(words(name))


def _integer(value: Any) -> int:
    """Return an integer or a string of digits as an integer; 0 for other values."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if type(value) is int else 0


def _link_to_next_page(links: list[Any]) -> bool:
    """Return whether a list of links has one with the relation ``next`` and an address."""
    if isinstance(links, RawItems):
        links = decode_items(links)
    return any(
        isinstance(link, dict) and link.get("rel") == "next" and link.get("href", True)
        for link in links
    )
