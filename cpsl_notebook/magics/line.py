"""The line of a magic: variables filled, a comment and a trailing ``;`` taken off, split into words.

``$name`` as a word of its own and ``{{ expression }}`` are filled from the notebook. Nothing else is
expanded. What a variable holds is never split or read again, but a list gives a word for each item.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from cpsl_notebook.errors import PromptError, UsageError, UserError

__all__ = ["Line"]

# A word of its own, but for the marks of a sentence around it.
_VARIABLE = re.compile(r'(?<![^\s"(])\$([^\W\d]\w*)(?=[,.;:?!)"]*(?:\s|$))')
_PLACE = re.compile("\x00(\\d+)\x00")  # stands for a value
_QUOTED = r"""(?:(?<!\S)|(?<==))(?:"(?:\\.|[^"\\])*"|'[^']*')"""
_COMMENT = re.compile(_QUOTED + r"|(?<!\S)(\#.*)")
_PROSE_COMMENT = re.compile(_QUOTED + r"|(?<!\S)(\#(?:\s.*)?$)")  # in prose, #5 is no comment


class Line:
    """What stands behind a magic's name.

    Parameters
    ----------
    text
        The line as it was typed.
    namespace
        The notebook's variables.
    prose
        Whether it ends in a text for people, where a comment is ``#`` and a space.

    Attributes
    ----------
    text
        The line without its comment; values have placeholders in it.
    quiet
        Whether it ended in ``;``.

    Examples
    --------
    >>> Line("payments $app;  # all of them", {"app": "support ops"}).words()
    ['payments', 'support ops']
    """

    def __init__(self, text: str, namespace: Mapping[str, Any], *, prose: bool = False) -> None:
        if "\x00" in text:
            raise UsageError("The line holds a NUL character: take it out.")
        self._namespace = namespace
        self._hint = " (--raw sends it as it is.)" if prose else ""
        self._sources: list[str] = []
        self._values: list[Callable[[], list[str]]] = []
        text = _VARIABLE.sub(self._variable, self._without_braces(text))
        comments = (_PROSE_COMMENT if prose else _COMMENT).finditer(text)
        start = next((found.start(1) for found in comments if found[1]), len(text))
        text = text[:start].strip()
        self.quiet = text.endswith(";")
        self.text = text.removesuffix(";").rstrip()

    def words(self, text: str | None = None) -> list[str]:
        """Return the words of the line, or of a part of it, with their values.

        Raises
        ------
        UserError
            A quote is open, a variable is missing, or an expression fails.
        """
        try:
            words = shlex.split(self.text if text is None else text)
        except ValueError as error:
            raise UserError(f"The line cannot be read ({error}): mind the quotes.") from None
        filled = []
        for word in words:
            alone = _PLACE.fullmatch(word)
            filled += self._values[int(alone[1])]() if alone else [self.filled(word)]
        return filled

    def filled(self, text: str) -> str:
        """Return a part of the line with its values."""
        return _PLACE.sub(lambda place: " ".join(self._values[int(place[1])]()), text)

    def source(self, text: str) -> str:
        """Return a part of the line as it was typed."""
        return _PLACE.sub(lambda place: self._sources[int(place[1])], text)

    def _without_braces(self, text: str) -> str:
        if "{{" not in text:
            return text
        from cpsl_notebook.prompt.template import evaluate, find

        pieces, position = [], 0
        for braces in find(text, self._namespace):
            value = functools.partial(evaluate, braces, self._namespace, _items)
            pieces += [text[position : braces.start], self._place(braces.source, value)]
            position = braces.end
        return "".join([*pieces, text[position:]])

    def _variable(self, found: re.Match[str]) -> str:
        return self._place(found[0], functools.partial(self._read, found[1]))

    def _read(self, name: str) -> list[str]:
        if name in self._namespace:
            return _items(self._namespace[name])
        from cpsl_notebook.prompt.template import near

        raise PromptError(
            f"${name}: there is no variable {name}{near(name, self._namespace)}{self._hint}",
            label="NameError",
        )

    def _place(self, source: str, value: Callable[[], list[str]]) -> str:
        self._sources.append(source)
        self._values.append(value)
        return f"\x00{len(self._values) - 1}\x00"


def _items(value: Any) -> list[str]:
    from cpsl_notebook.prompt.template import plain

    return [plain(item) for item in (value if isinstance(value, list | tuple) else [value])]
