"""How IPython reads a ``%%capsule`` cell.

IPython removes ``>>>`` and ``In [1]:``, as in pasted code, if a cell's second line begins with one.
In a ``%%capsule`` cell they are part of the prompt. A cell of one line reaches the magic, too: IPython
would refuse it with advice that does not fit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import cell_magic

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["install", "remove"]

_CELL = re.compile(r"%%capsule\b(?!\?)")


def keep_prompt(lines: list[str]) -> list[str]:
    """Turn a ``%%capsule`` cell into a call before other transformers see its lines."""
    if lines and _CELL.match(lines[0]):
        lines = cell_magic([*lines, "\n"] if len(lines) == 1 else lines)
    return lines


# IPython skips transformers with side effects when it only checks whether a cell is complete. In a
# terminal, a cell magic is complete at its empty line; as a call it would be complete immediately.
keep_prompt.has_side_effects = True  # type: ignore[attr-defined]


def install(shell: InteractiveShell) -> None:
    """Add the transformer to a shell."""
    # The first transformer removes empty lines at the start of the cell.
    shell.input_transformer_manager.cleanup_transforms.insert(1, keep_prompt)


def remove(shell: InteractiveShell) -> None:
    """Remove the transformer from a shell, also one of an earlier import of this module."""
    transforms = shell.input_transformer_manager.cleanup_transforms
    transforms[:] = [each for each in transforms if each.__module__ != __name__]
