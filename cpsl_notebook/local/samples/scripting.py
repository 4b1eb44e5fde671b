"""Helpers of the sample apps: building blocks, normalizing text, and formatting numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cpsl_notebook.local.session import Session

Piece = str | dict[str, Any]
"""A paragraph of Markdown, or a block."""

_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
NUMBER = rf"\d{{1,6}}|{'|'.join(_NUMBERS)}"
"""Pattern of a number in plain text, for `to_number`."""


def reply(session: Session, pieces: Iterable[Piece], data: str) -> Iterator[Piece]:
    """Add blank lines between paragraphs; end the first reply with a note that names its *data*."""
    note = f"*This app is a scripted demo that uses {data}, not a language model.*"
    separator = ""
    for piece in [*pieces, *([] if session.history else [note])]:
        if isinstance(piece, str):
            yield separator + piece
            separator = "\n\n"
        else:
            yield piece


def block(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Build a block; equal blocks have equal ids."""
    content = json.dumps([kind, payload], sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()[:8]
    return {"id": f"{kind}-{digest}", "type": kind, "payload": payload}


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Build a table block."""
    content = {"columns": list(columns), "rows": [list(row) for row in rows]}
    return block("table_preview", {"title": title, "mode": "table", "table": content})


def suggestions(*questions: str) -> dict[str, Any]:
    """Build a block of follow-up questions."""
    items = [{"label": text, "target": "composer", "value": text} for text in questions]
    return block("suggestions", {"title": "Try one of these", "suggestions": items})


def plain(text: str) -> str:
    """Return the first 4,000 characters as lower-case words with single spaces.

    Examples
    --------
    >>> plain("Which are *high-priority*?")
    'which are high priority'
    """
    return " ".join(re.findall(r"[^\W_]+", text[:4_000].casefold()))


def to_number(matched: str) -> int:
    """Return the value of a match of `NUMBER`."""
    return _NUMBERS.index(matched) if matched in _NUMBERS else int(matched)


def spelled(number: int) -> str:
    """Format a number up to twelve as a word, and a larger one in digits."""
    return _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: ``"1 thread"``, ``"1,200 threads"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Join words as in a sentence: ``"a"``, ``"a and b"``, ``"a, b and c"``."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
