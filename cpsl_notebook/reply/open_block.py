"""The code fence or table at the end of a growing text, whose finished lines are final."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cpsl_notebook.reply.highlighting import highlight
from cpsl_notebook.reply.markdown import LastBlock, are_numbers, table_cells
from cpsl_notebook.reply.style import TABLE, aligned_by_column

__all__ = ["OpenBlock"]

# Characters of finished lines in the first part and in later ones; fewer are not worth a part.
_MIN_FIRST, _MIN_LINES = 900, 2_400
_MAX_LINES = 5_000  # characters after which code is cut, whatever its colours
_MAX_TRIES = 8  # line ends at which code may be cut
_COLUMN = (3, 120)  # the smallest and the largest number of characters that give a column its width
_PADDING = 3  # characters
_HEADER = re.compile("<thead>.*?(?=<tbody>)")


@dataclass
class OpenBlock:
    """A fence or table that is shown in parts while it grows.

    Attributes
    ----------
    head : str
        The lines that each part needs above it: the opening fence, or the header of the table.
    language : str or None
        The language of the code; ``None`` for a table.
    columns : str
        The end of the tag of each part of a table, with columns of the same width.
    rules : str
        The style sheet of the first part of a table, which aligns the columns of all.
    """

    head: str
    language: str | None
    columns: str = ""
    rules: str = ""

    @classmethod
    def of(cls, block: LastBlock, text: str) -> OpenBlock | None:
        """Return the last block of a text if it can be shown in parts."""
        lines = text[block.start :].split("\n", 2)
        if block.kind == "fence":
            return cls(f"{lines[0]}\n", (block.info.split() or [""])[0])
        return cls(f"{lines[0]}\n{lines[1]}\n", None) if block.kind == "table_open" else None

    def cut(self, lines: str, *, is_first: bool) -> int:
        """Return how many characters of the lines below the head are final and a part of their own.

        Code is cut where its colours do not depend on what is above.
        """
        ends = [found.end() for found in re.finditer("\n", lines)]
        ends = ends[:-1]  # the last line may end the block
        if not ends or ends[-1] < (_MIN_FIRST if is_first else _MIN_LINES):
            return 0
        if self.language is None:  # an even number, because the backgrounds of rows alternate
            return ends[len(ends) // 2 * 2 - 1] if len(ends) > 1 else 0
        whole = highlight(lines, self.language)
        for end in ends[: -_MAX_TRIES - 1 : -1]:
            parts = (lines[:end], lines[end:])
            if "".join(highlight(part, self.language) for part in parts) == whole:
                return end
        return ends[-1] if ends[-1] > _MAX_LINES else 0

    def set_columns(self, lines: str) -> None:
        """Set the widths and alignments of a table's columns from its first rows."""
        if self.language is not None:
            return
        smallest, largest = _COLUMN
        columns = list(zip(*table_cells(self.head + lines)[0], strict=True))
        widths = [min(max(smallest, *map(len, c)), largest) + _PADDING for c in columns]
        tags = "".join(f"<col style=width:{100 * w / sum(widths):.2f}%>" for w in widths)
        style = f"table-layout:fixed;width:min(100%,{sum(widths)}ch)"
        self.columns = f" style={style}><colgroup>{tags}</colgroup>"
        header, delimiters, _ = self.head.split("\n")
        aligned = [
            cell if ":" in cell else "--:" if are_numbers(list(column[1:])) else ":--"
            for cell, column in zip(delimiters.strip().strip("|").split("|"), columns, strict=True)
        ]
        self.head = f"{header}\n|{'|'.join(aligned)}|\n"

    def part_html(self, html: str, *, is_first: bool, is_last: bool) -> str:
        """Return the HTML of the head and some lines as a part, which joins its neighbours."""
        if self.language is None:
            for tag in ("th", "td"):  # the style sheet of the panel aligns these
                html = html.replace(f"<{tag} style=text-align:left>", f"<{tag}>")
            rules, html = aligned_by_column(html)
            html = html.replace(f" style={TABLE}>", self.columns, 1)
            if not is_first:
                html = _HEADER.sub("", html, 1)
            if rules != self.rules:  # those of the first part apply to the others
                html = f"<style>{rules}</style>{html}"
            if is_first:
                self.rules = rules
        names = ["capsule-more"] * (not is_first) + ["capsule-open"] * (not is_last)
        return f'<div class="{" ".join(names)}">{html}</div>'
