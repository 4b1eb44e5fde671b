"""How much of a reply is formatted and shown, so that showing any reply takes about a second.

The limits concern only what is shown: `text`, `blocks` and `parts` of a reply are always complete.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Budget"]

MAX_FORMATTED = 102_400  # characters of Markdown; the rest is shown as plain text
MAX_PLAIN = 1_000_000  # characters of plain text after that; the rest is counted
MAX_BLOCKS = 200  # the rest is counted
MAX_BLOCK_LENGTH = 1_000_000  # characters of all blocks as HTML or text, images not included
MAX_CELLS = 20_000  # cells of Markdown tables; further rows stay text
MAX_BRACKETS = 4_000  # opening brackets; a paragraph with more of them stays unformatted
MAX_HIGHLIGHTING = 0.3  # seconds of CPU; further code has no colours


@dataclass
class Budget:
    """What may still be formatted and shown of one reply, and what was left out.

    Attributes
    ----------
    formatted, plain, blocks, block_length, cells, brackets : int
        What is left of the limits of this module.
    highlighting : float
        CPU time left for highlighting, in seconds.
    hidden_characters, hidden_blocks : int
        How much of the reply is not shown.
    """

    formatted: int = MAX_FORMATTED
    plain: int = MAX_PLAIN
    blocks: int = MAX_BLOCKS
    block_length: int = MAX_BLOCK_LENGTH
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
            "text": f"{self.hidden_characters:,} characters" if self.hidden_characters else "",
            "blocks": f"{self.hidden_blocks:,} blocks" if self.hidden_blocks else "",
        }
        amounts = " and ".join(filter(None, hidden.values()))
        places = " and ".join(f"`{name}`" for name, amount in hidden.items() if amount)
        if not amounts:
            return ""
        return f"Not shown: {amounts}. They are in {places} of the reply (`%capsule last`)."

    def take_block(self, length: int) -> bool:
        """Count a block of a length; return whether it may be shown."""
        if self.blocks <= 0 or length > self.block_length:
            self.hidden_blocks += 1
            self.blocks = 0  # what follows is hidden too, so that nothing is missing in between
            return False
        self.blocks -= 1
        self.block_length -= length
        return True

    def split(self, text: str) -> tuple[str, str]:
        """Count a text; return the part to format and the part to show as plain text.

        The formatted part ends at a line end if there is one.
        """
        formatted, rest = text, ""
        if len(text) > self.formatted:
            end = text.rfind("\n", 0, self.formatted) + 1 or self.formatted
            formatted, rest = text[:end], text[end:]
        plain = rest[: self.plain]
        # After the first plain text, everything is plain: no formatted text follows in between.
        self.formatted = 0 if rest else self.formatted - len(formatted)
        self.plain -= len(plain)
        self.hidden_characters += len(rest) - len(plain)
        return formatted, plain
