"""How much of a reply is formatted and shown, so that showing any reply takes at most a second.

The limits concern only what is shown: `text`, `blocks` and `parts` of a reply are always complete.
Whatever is left out is counted in the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Budget"]

MAX_FORMATTED = 102_400  # characters of Markdown; the rest is shown as plain text
MAX_LINES = 10_000  # lines of Markdown; the rest is shown as plain text
MAX_PLAIN = 1_000_000  # characters of plain text after that; the rest is counted
MAX_BLOCKS = 200  # the rest is counted
MAX_BLOCK_LENGTH = 1_000_000  # characters of all blocks as HTML or text, images not included
# A block may use a quarter of what is left of these characters, so that later ones fit.
BLOCK_SHARE = 4
MIN_BLOCK_LENGTH = 1_000  # characters that every block may use
MAX_TABLE_ROWS, MAX_TABLE_COLUMNS = 100, 50  # of a table block
MAX_VALUE_LENGTH = 1_000  # characters of a value in it; less if the first row would be too long
MAX_IMAGES = 20_000_000  # characters of all image blocks
MAX_CELLS = 20_000  # cells of Markdown tables; further rows stay text
MAX_BRACKETS = 4_000  # opening brackets; a paragraph with more of them stays unformatted
MAX_HIGHLIGHTING = 0.3  # seconds of CPU; further code has no colours


@dataclass
class Budget:
    """What may still be formatted and shown of one reply, and what was left out.

    Attributes
    ----------
    formatted, lines, plain, blocks, block_length, images, cells, brackets : int
        What is left of the limits of this module.
    highlighting : float
        CPU time left for highlighting, in seconds.
    hidden_characters, hidden_blocks : int
        How much of the reply is not shown.
    """

    formatted: int = MAX_FORMATTED
    lines: int = MAX_LINES
    plain: int = MAX_PLAIN
    blocks: int = MAX_BLOCKS
    block_length: int = MAX_BLOCK_LENGTH
    images: int = MAX_IMAGES
    cells: int = MAX_CELLS
    brackets: int = MAX_BRACKETS
    highlighting: float = MAX_HIGHLIGHTING
    hidden_characters: int = 0
    hidden_blocks: int = 0

    @property
    def note(self) -> str:
        """What is not shown, and where it is; empty if everything is shown.

        Examples
        --------
        >>> Budget(hidden_blocks=1_000).note
        'Not shown: 1,000 blocks. They are in `blocks` of the reply (`%capsule last`).'
        """
        hidden = {
            "text": _count(self.hidden_characters, "character"),
            "blocks": _count(self.hidden_blocks, "block"),
        }
        amounts = " and ".join(filter(None, hidden.values()))
        places = " and ".join(f"`{name}`" for name, amount in hidden.items() if amount)
        if not amounts:
            return ""
        they = "It is" if self.hidden_characters + self.hidden_blocks == 1 else "They are"
        return f"Not shown: {amounts}. {they} in {places} of the reply (`%capsule last`)."

    def limit(self, block: dict[str, Any]) -> int:
        """Return the approximate number of characters that a block may have."""
        if block.get("type") == "image":
            return self.images
        return max(self.block_length // BLOCK_SHARE, MIN_BLOCK_LENGTH)

    def charge(self, block: dict[str, Any], length: int) -> None:
        """Subtract the characters of a block that is shown."""
        if block.get("type") == "image":
            self.images -= length
        else:
            self.block_length -= length

    def take_block(self) -> bool:
        """Count a block; return whether it is shown."""
        if self.blocks <= 0:
            self.hidden_blocks += 1
            return False
        self.blocks -= 1
        return True

    def split(self, text: str) -> tuple[str, str]:
        """Count a text; return the part to format and the part to show as plain text.

        The formatted part ends at a line end if there is one.
        """
        formatted, rest = text, ""
        if len(text) > self.formatted or text.count("\n") > self.lines:
            start = text[: self.formatted]
            length = len(start) - len(start.split("\n", self.lines)[-1])  # of the lines that count
            if start.count("\n") < self.lines:
                length = start.rfind("\n") + 1 or len(start)
            formatted, rest = text[:length], text[length:]
        plain = rest[: self.plain]
        # After the first plain text, everything is plain: no formatted text follows in between.
        self.formatted = 0 if rest else self.formatted - len(formatted)
        self.lines -= formatted.count("\n")
        self.plain -= len(plain)
        self.hidden_characters += len(rest) - len(plain)
        return formatted, plain


def _count(number: int, what: str) -> str:
    """Return a number with its unit; empty for 0."""
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else ""
