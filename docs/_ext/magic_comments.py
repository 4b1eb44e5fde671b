"""Comments on the lines of magics, in the colour of comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ipython_pygments_lexers import IPython3Lexer
from pygments.token import Comment, Text
from sphinx.application import Sphinx

_LINE = re.compile(r"([^\n]*?\s)(#\s[^\n]*)(\n?)\Z")


class MagicLexer(IPython3Lexer):
    """The lexer of IPython, which reads the line of a magic as one text."""

    def get_tokens_unprocessed(self, text: str, **options: Any) -> Iterator[tuple[int, Any, str]]:
        """Yield positions, kinds and texts."""
        for index, kind, value in super().get_tokens_unprocessed(text, **options):
            line = _LINE.match(value) if kind is Text else None
            if line is None:
                yield index, kind, value
                continue
            yield index, kind, line[1]
            yield index + line.start(2), Comment, line[2]
            yield index + line.start(3), kind, line[3]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the lexer."""
    for name in ("ipython", "ipython3"):
        app.add_lexer(name, MagicLexer)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
