"""What was typed, as it was typed, where IPython would read it otherwise.

IPython takes a line that ends in ``?`` for a wish for help with its last word: on the lines of
``%capsule`` that say something, the magic goes first. And it takes ``>>>`` and ``In [1]:`` off a cell
whose second line begins so, for what was pasted: below ``%%capsule`` that is a part of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from tokenize import TokenInfo
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import EscapedCommand, HelpEnd, MagicAssign, cell_magic

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["install", "remove_from"]

_SAYING = re.compile(r"%\s*capsule\s+\S+\s+\S")  # `%capsule ask?` stays a wish for help
_CELL = re.compile(r"%%capsule\b(?!\?)")

Lines = list[list[TokenInfo]]


def prompt_cell(lines: list[str]) -> list[str]:
    """Make a cell of ``%%capsule`` a call, before anything is taken off its lines."""
    return cell_magic(lines) if lines and _CELL.match(lines[0]) else lines


# IPython leaves out such a one where it only asks whether a cell is complete: one of a cell magic is
# not before its blank line.
prompt_cell.has_side_effects = True  # type: ignore[attr-defined]


class SayingLine(EscapedCommand):
    """``%capsule ask …`` as a statement."""

    priority = HelpEnd.priority - 1

    @classmethod
    def find(cls, tokens_by_line: Lines) -> Any:
        """Find the first one of a cell."""
        return _first(super().find, tokens_by_line)


class SayingAssignment(MagicAssign):
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
    """Let a shell read what is meant for the magics as it stands."""
    manager = shell.input_transformer_manager
    manager.cleanup_transforms.insert(1, prompt_cell)  # when the empty lines above are gone
    manager.token_transformers += [SayingLine, SayingAssignment]


def remove_from(shell: InteractiveShell) -> None:
    """Take out what was installed, by an earlier version too."""
    manager = shell.input_transformer_manager
    for transforms in (manager.cleanup_transforms, manager.token_transformers):
        transforms[:] = [one for one in transforms if one.__module__ != __name__]


def _first(find: Callable[[Lines], Any], tokens_by_line: Lines) -> Any:
    for line in tokens_by_line:
        found = find([line])
        if found is None:
            continue
        text = next(token.line for token in line if token.start[0] == found.start_line + 1)
        if _SAYING.match(text, found.start_col):
            return found
    return None
