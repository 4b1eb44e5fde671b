"""The line of a magic: variables filled in, comment and trailing ``;`` removed, split into words.

``{{ expression }}``, by the rule for prompts, and ``$name``, as a separate word, are filled from the
notebook's variables. A value is never split or expanded; a list or tuple becomes one word per item.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cpsl_notebook.errors import UsageError
from cpsl_notebook.prompt.template import Placeholder, as_text, evaluate, find_placeholders

__all__ = ["Line", "read_line"]

_VARIABLE = re.compile(r'(?<![^\s"(])\$([^\W\d]\w*)(?=[,.;:?!)"]*(?:\s|$))')
_STRING = r"""(?:(?<!\S)|(?<==))(?:"(?:\\.|[^"\\])*"|'[^']*')"""
_COMMENT = re.compile(rf"{_STRING}|(?<!\S)(\#.*)")
_REFUSED = {"NUL character": "\x00", "lone surrogate": "[\ud800-\udfff]"}
_MARK = re.compile("\x00(\\d+)\x00")  # replaces a value until the line has been split


@dataclass(frozen=True)
class Line:
    """The words of a magic's line.

    Attributes
    ----------
    words : list of str
        The words.
    semicolon : bool
        Whether the line ended in ``;``.
    """

    words: list[str]
    semicolon: bool


def read_line(text: str, namespace: Mapping[str, Any]) -> Line:
    """Read the line of a magic.

    Parameters
    ----------
    text : str
        The line without the magic's name.
    namespace : mapping of str to object
        The notebook's variables.

    Raises
    ------
    UsageError
        A quote is not closed, or the line contains a NUL character or a lone surrogate.
    PromptError
        A variable does not exist, or an expression fails.

    Examples
    --------
    >>> read_line("payments $app;  # all of them", {"app": "support ops"})
    Line(words=['payments', 'support ops'], semicolon=True)
    """
    for name, pattern in _REFUSED.items():
        if re.search(pattern, text):
            raise UsageError(f"The line contains a {name}. Remove it.")
    placeholders: list[Placeholder] = []

    def mark(placeholder: Placeholder) -> str:
        placeholders.append(placeholder)
        return f"\x00{len(placeholders) - 1}\x00"

    def values(number: str) -> list[str]:
        found: list[str] = evaluate(placeholders[int(number)], namespace, _items)
        return found

    pieces, position = [], 0
    for found in find_placeholders(text, namespace):
        pieces += [text[position : found.start], mark(found)]
        position = found.end
    marked = _VARIABLE.sub(
        lambda found: mark(_variable(found)),
        "".join([*pieces, text[position:]]),
    )
    comment = next((found.start(1) for found in _COMMENT.finditer(marked) if found[1]), None)
    line = marked[:comment].strip()
    words: list[str] = []
    for word in _split(line.removesuffix(";")):
        if alone := _MARK.fullmatch(word):
            words += values(alone[1])
        else:
            words.append(_MARK.sub(lambda found: " ".join(values(found[1])), word))
    return Line(words, line.endswith(";"))


def _variable(found: re.Match[str]) -> Placeholder:
    return Placeholder(found[0], found.start(), found.end(), ast.Name(found[1], ast.Load()))


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(
            f"Cannot read the line ({error}). Check its quotes and backslashes."
        ) from None


def _items(value: Any) -> list[str]:
    return [as_text(item) for item in (value if isinstance(value, list | tuple) else [value])]
