"""What IPython makes of ``%capsule ask APP TEXT?``: a question, where it would look for help.

IPython takes a line that ends in ``?`` for a wish for help with its last word. On the lines of
``%capsule ask`` alone, the magic goes first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from tokenize import TokenInfo
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import EscapedCommand, HelpEnd, MagicAssign

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["install", "remove_from"]

_ASK = re.compile(r"%\s*capsule\s+ask\s+\S+\s+\S")  # `%capsule ask?` stays a wish for help

Lines = list[list[TokenInfo]]


class AskedLine(EscapedCommand):
    """``%capsule ask …`` as a statement."""

    priority = HelpEnd.priority - 1

    @classmethod
    def find(cls, tokens_by_line: Lines) -> Any:
        """Find the first one of a cell."""
        return _first(super().find, tokens_by_line)


class AskedAssignment(MagicAssign):
    """``reply = %capsule ask …``."""

    priority = HelpEnd.priority - 1
    percent = 0  # where the magic begins

    @classmethod
    def find(cls, tokens_by_line: Lines) -> Any:
        """Find the first one of a cell."""
        found = _first(super().find, tokens_by_line)
        if found is not None:
            # The wish for help is found at the start of the line, and the first one found goes.
            found.percent, found.start_col = found.start_col, 0
        return found

    def transform(self, lines: list[str]) -> list[str]:
        """Make it a call."""
        self.start_col = self.percent
        changed: list[str] = super().transform(lines)
        return changed


def install(shell: InteractiveShell) -> None:
    """Let a shell read the lines of ``%capsule ask`` as they are meant."""
    shell.input_transformer_manager.token_transformers += [AskedLine, AskedAssignment]


def remove_from(shell: InteractiveShell) -> None:
    """Take out what was installed, by an earlier version too."""
    transformers = shell.input_transformer_manager.token_transformers
    transformers[:] = [one for one in transformers if one.__module__ != __name__]


def _first(find: Callable[[Lines], Any], tokens_by_line: Lines) -> Any:
    for line in tokens_by_line:
        found = find([line])
        if found is None:
            continue
        text = next(token.line for token in line if token.start[0] == found.start_line + 1)
        if _ASK.match(text, found.start_col):
            return found
    return None
