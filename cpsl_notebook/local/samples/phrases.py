"""What the scripted programs share: a session's shape, blocks, and words for numbers.

A scripted program is a generator function ``(session, text)`` that yields pieces: a string is a
paragraph of the reply (Markdown), a dict is a block that the chat shows beside the text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

Piece = str | dict[str, Any]

READ_AT_MOST = 4_000
"""Characters of a message that a scripted program reads; the rest is cut, to bound the time."""

_ZERO_TO_TWELVE = "zero one two three four five six seven eight nine ten eleven twelve"
NUMBER_WORDS = {word: number for number, word in enumerate(_ZERO_TO_TWELVE.split())} | {
    "single": 1,
    "couple": 2,
    "dozen": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "fifty": 50,
}

NUMBER = rf"(?:\d{{1,6}}|{'|'.join(NUMBER_WORDS)})"
"""Pattern of a number in plain text, in digits or words; `to_number` reads what it matched."""


class Session(Protocol):
    """One conversation, as a scripted program sees it.

    Attributes
    ----------
    state : dict
        JSON-able values kept between the turns of the conversation.
    """

    state: dict[str, Any]

    @property
    def history(self) -> Sequence[Any]:
        """The earlier turns, oldest first, each with ``prompt`` and ``reply`` strings."""


def block(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Build a block whose id is a short digest of its content, so the same block has the same id.

    Parameters
    ----------
    kind : str
        The block's type, such as ``"notification"``.
    payload : dict
        JSON-able content.
    """
    content = json.dumps([kind, payload], sort_keys=True).encode()
    return {
        "id": f"{kind}-{hashlib.sha256(content).hexdigest()[:8]}",
        "type": kind,
        "payload": payload,
    }


def notification(text: str, detail: str | None = None) -> dict[str, Any]:
    """Build a one-line notice, such as ``notification("Reading 300 threads…")``."""
    return block("notification", {"text": text} | ({"detail": detail} if detail else {}))


def table_preview(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> dict[str, Any]:
    """Build a table: a title, the columns' names, and the rows' JSON-able values."""
    table = {"columns": list(columns), "rows": [list(row) for row in rows]}
    return block("table_preview", {"title": title, "mode": "table", "table": table})


def suggestions(questions: Iterable[str], title: str | None = None) -> dict[str, Any]:
    """Build buttons that put one of the *questions* into the message box."""
    listed = [{"label": asked, "target": "composer", "value": asked} for asked in questions]
    return block("suggestions", {"suggestions": listed} | ({"title": title} if title else {}))


def disclaimer(data: str) -> str:
    """Say in one italic line that no model is asked; *data* is such as ``"300 sample threads"``."""
    return f"*This is a scripted demonstration over {data}: no model is asked.*"


def tell(session: Session, pieces: Iterable[Piece], closing: str) -> Iterator[Piece]:
    """Pass *pieces* on as paragraphs, and end a conversation's first answer with *closing*.

    A piece equal to *closing* counts as having said it, so it is never said twice.
    """
    first_answer = not session.history
    started = said = False
    for piece in pieces:
        said = said or piece == closing
        if isinstance(piece, str):
            yield f"\n\n{piece}" if started else piece
            started = True
        else:
            yield piece
    if first_answer and not said:
        yield f"\n\n{closing}"


def plain(text: str) -> str:
    """Reduce *text* to lower-case words with one space between them.

    Examples
    --------
    >>> plain("Which threads aren't *high-priority*?")
    'which threads are not high priority'
    """
    lowered = text[:READ_AT_MOST].casefold().replace("’", "'").replace("n't", " not")
    return " ".join(re.findall(r"[^\W_]+", lowered))


def stem(word: str) -> str:
    """Cut a plural ending: ``"invoices"`` and ``"invoice"`` have one stem, as do ``"policies"``."""
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes", "toes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "su" else word


def to_number(matched: str) -> int:
    """Read what `NUMBER` matched: ``"4"`` and ``"four"`` are both 4."""
    return NUMBER_WORDS[matched] if matched in NUMBER_WORDS else int(matched)


def number_in(pattern: str, text: str) -> int | None:
    """Read the number in the first group of *pattern*, or None where it does not match *text*."""
    found = re.search(pattern, text)
    return to_number(found[1]) if found else None


def spelled(number: int) -> str:
    """Write a number from 0 to 12 as a word, and any other in digits."""
    small = _ZERO_TO_TWELVE.split()
    return small[number] if 0 <= number < len(small) else f"{number:,}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Put a number before its noun: ``"1 thread"``, ``"1,200 threads"``, ``"2 boxes"``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Join *words* as a sentence does: ``"a"``, ``"a and b"``, ``"a, b and c"``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
