"""Tables that show their important columns as text, where pandas would omit or shorten them.

They are DataFrames: what is selected or computed from them is a plain `pandas.DataFrame`.
"""

from __future__ import annotations

import textwrap

import pandas as pd

from cpsl_notebook.sanitize import clean, one_line

__all__ = ["WIDTH", "LeadingColumns", "WholeValues", "shorten"]

WIDTH = 100
"""The number of characters of a line."""


class WholeValues(pd.DataFrame):
    """A table of one column that shows whole values."""

    def __repr__(self) -> str:
        width = max(map(len, map(str, self.index)), default=0)
        lines = (f"{name!s:<{width}}  {value}" for name, value in self.iloc[:, 0].items())
        return clean("\n".join(lines))

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.to_html(max_rows=pd.get_option("display.max_rows"), notebook=True)


class LeadingColumns(pd.DataFrame):
    """A table that shows its first columns as text, and names the others below.

    Attributes
    ----------
    SHOWN : int
        The number of columns to show.
    TEXTS : tuple of str
        The columns that are shortened to fit into a line.
    """

    SHOWN = 0
    TEXTS: tuple[str, ...] = ()

    def __repr__(self) -> str:
        limit = pd.get_option("display.max_rows") or len(self)
        shown = pd.DataFrame(self.iloc[:, : self.SHOWN])
        if len(shown) > limit:
            shown = pd.concat([shown.head(limit - limit // 2), shown.tail(limit // 2)])
        for name in shown.select_dtypes("datetimetz"):
            shown[name] = shown[name].dt.strftime("%Y-%m-%d %H:%M")
        for name in shown.select_dtypes("number"):
            shown[name] = shown[name].round(2)
        fixed = shown.drop(columns=list(self.TEXTS)).to_string(na_rep="")
        room = WIDTH - max(map(len, fixed.splitlines()))
        for name in self.TEXTS:
            length = room // len(self.TEXTS) - 2  # without the space between two columns
            texts = [shorten(one_line(text), length) for text in shown[name]]
            shown[name] = pd.Series(texts, index=shown.index, dtype="string")
        others = ", ".join(map(str, self.columns[self.SHOWN :]))
        size = f"[{len(self):,} rows x {len(self.columns)} columns]"
        note = f"{size}, also: {others}" if others else size
        return clean(f"{shown.to_string(na_rep='')}\n{textwrap.fill(note, WIDTH)}")


def shorten(text: str, length: int) -> str:
    """Return a text of at most some characters; what is cut off becomes an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
