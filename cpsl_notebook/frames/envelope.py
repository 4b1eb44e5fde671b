"""What the service answers: a list of records, or an envelope around one.

An answer is given decoded, or as the bytes of its JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cpsl_notebook.errors import UserError
from cpsl_notebook.frames.decoding import Records, Undecoded, opened

__all__ = ["batches", "records", "summary"]

_BATCH = 1 << 10  # records that are objects at one time: few enough to use their memory again
_MORE_WORDS = {"hasmore", "more", "next", "cursor"} | {
    f"next{what}" for what in ("cursor", "page", "pagetoken", "token", "url", "link")
}
_COUNT_WORDS = {"total", "totalcount", "totalresults", "count"}
_TROUBLES = {"error", "errors", "warnings"}  # lists in an envelope that are no records


def records(answer: Any, app: str) -> list[Any]:
    """Find the list of records in an answer: the answer itself, or in an envelope around it.

    Parameters
    ----------
    answer
        What the service gave, decoded or as bytes.
    app
        The app's name, for errors.

    Raises
    ------
    UserError
        There is no list, a choice of them, or the envelope says that it is not the whole.
    """
    if isinstance(answer, bytes | bytearray):
        answer = opened(answer)
    found = _find_records(answer)
    if found is None:
        raise UserError(f"The payments of {app} came without a list of them: check the gateway.")
    if isinstance(answer, dict) and _says_more(answer, len(found)):
        raise UserError(
            f"The service gave only a part of the payments of {app}, and says that there are more: "
            "a partial ledger is not shown."
        )
    return found


def batches(found: list[Any]) -> Iterator[tuple[int, Mapping[str, Sequence[Any]]]]:
    """Iterate over records in parts: where each begins, and the values of its fields."""
    known = Records()
    for start in range(0, len(found), _BATCH):
        yield start, known.values(type(found)(found[start : start + _BATCH]))


def summary(answer: Any, app: str) -> dict[str, Any]:
    """Return the object of an earnings answer, out of its envelope.

    Raises
    ------
    UserError
        The answer is no object.
    """
    if not isinstance(answer, dict):
        raise UserError(f"The earnings of {app} are no JSON object: check the gateway's address.")
    values = list(answer.values())
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else answer


def _find_records(answer: Any) -> list[Any] | None:
    """Find the one list of objects; ``None`` where there is none, or a choice of them."""
    if isinstance(answer, list):
        return answer
    if not isinstance(answer, dict):
        return None
    if "payments" in answer and not isinstance(answer["payments"], dict):
        return answer["payments"] or []
    fields = {key: value for key, value in answer.items() if key not in _TROUBLES}
    lists = [value for value in fields.values() if _holds_objects(value)]
    objects = [value for key, value in fields.items() if isinstance(value, dict)]
    if len(lists) == 1:
        return lists[0]  # type: ignore[no-any-return]
    if not lists and len(objects) == 1:
        return _find_records(objects[0])
    return [] if not fields and not answer else None


def _holds_objects(value: Any) -> bool:
    if isinstance(value, Undecoded):
        return value.holds_objects()
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _says_more(answer: dict[str, Any], count: int) -> bool:
    """Say whether an envelope, or an object within it, tells of records that did not come."""
    for key, value in answer.items():
        word = re.sub(r"[^a-z]", "", key.lower())
        if word in _MORE_WORDS and value:
            return True
        if word in _COUNT_WORDS and type(value) is int and value > count:
            return True
        if isinstance(value, dict) and _says_more(value, count):
            return True
    return False
