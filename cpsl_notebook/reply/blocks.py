"""The blocks of a reply, such as tables and images, as HTML and as text.

To add a block type, write a subclass of `_BlockView` and enter it in ``_VIEWS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from textwrap import indent
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from cpsl_notebook.reply.cell_source import cell_source
from cpsl_notebook.reply.images import image_html
from cpsl_notebook.reply.style import quiet_line
from cpsl_notebook.reply.tables import cell_text, shown_table, typed_column
from cpsl_notebook.sanitize import clean

__all__ = ["block_html", "block_text", "table_html"]

Block = dict[str, Any]


def block_html(block: Block, app: str, *, remote_images: bool = False) -> str:
    """Return a block as HTML.

    Parameters
    ----------
    block : dict
        The block as the app sent it, with ``type`` and ``payload``.
    app : str
        The app that sent it; a suggestion shows the cell that sends it there.
    remote_images : bool
        Whether images of other servers are shown.

    Returns
    -------
    str
        The HTML; empty for a block that is not part of the finished reply.
    """
    return _view(block, app, remote_images).html()


def block_text(block: Block, app: str) -> str:
    """Return a block as text; empty for a block that is not part of the finished reply.

    Examples
    --------
    >>> block_text({"type": "activity", "payload": {"label": "Searched the archive"}}, "shop")
    '[activity] Searched the archive'
    """
    return _view(block, app).text()


def table_html(table: pd.DataFrame) -> str:
    """Return a table as HTML, with columns of numbers aligned to the right."""
    sides = [
        ' style="text-align:right"' if is_numeric_dtype(typed_column(column)) else ""
        for _, column in table.items()
    ]

    def row(tag: str, values: Iterable[Any]) -> str:
        cells = (
            f"<{tag}{side}>{escape(cell_text(value))}</{tag}>"
            for side, value in zip(sides, values, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(row("td", values) for values in table.itertuples(index=False, name=None))
    head = row("th", table.columns)
    return f"<table><thead>{head}</thead>\n<tbody>{body}</tbody></table>"


class _BlockView:
    """A block of a type without a view of its own: one line with its texts."""

    _FIELDS = ("label", "title", "message", "text", "detail", "name", "url", "task_id")

    def __init__(self, block: Block, app: str, remote_images: bool) -> None:
        payload = block.get("payload")
        self.block = block
        self.payload: dict[str, Any] = payload if isinstance(payload, dict) else {}
        self.app = app
        self.remote_images = remote_images

    def field(self, name: str) -> str:
        """Return a field of the payload as text."""
        return cell_text(self.payload.get(name))

    def html(self) -> str:
        text = self.text()
        return quiet_line(text) if text else ""

    def text(self) -> str:
        texts = filter(None, map(self.field, self._FIELDS))
        return f"[{cell_text(self.block.get('type'))}] {' · '.join(texts)}".strip()


class _Transient(_BlockView):
    """A block that is shown, if at all, only while the reply is running."""

    def text(self) -> str:
        return ""


class _Table(_BlockView):
    def html(self) -> str:
        table = shown_table(self.block)
        if table is None:  # the block closes an earlier table, or contains no rows
            return ""
        title = self.field("title")
        heading = f"<p><strong>{escape(title)}</strong></p>" if title else ""
        return heading + table_html(table.frame) + (quiet_line(table.note) if table.note else "")

    def text(self) -> str:
        table = shown_table(self.block)
        if table is None:
            return ""
        rows = table.frame.map(cell_text).to_string(index=False)
        return "\n".join(filter(None, [self.field("title"), rows, table.note]))


class _Image(_BlockView):
    def html(self) -> str:
        url, alt, width = self.field("url"), self.field("alt"), self.payload.get("width")
        return f"<p>{image_html(url, alt, width, remote_images=self.remote_images)}</p>"

    def text(self) -> str:
        return f"[image: {self.field('alt') or 'no description'}]"


class _Suggestions(_BlockView):
    def html(self) -> str:
        items = [
            f'<li>{escape(label)}<br><code style="white-space:pre-wrap">{escape(source)}</code></li>'
            for label, source in self._items()
        ]
        return f"<p>{escape(self._title)}:</p><ul>{''.join(items)}</ul>" if items else ""

    def text(self) -> str:
        items = [f"- {label}:\n\n{indent(source, '    ')}\n" for label, source in self._items()]
        return "\n".join([f"{self._title}:", *items]) if items else ""

    @property
    def _title(self) -> str:
        return self.field("title") or "You could ask"

    def _items(self) -> list[tuple[str, str]]:
        """Return the label of each suggestion, and the cell that sends it."""
        suggestions = self.payload.get("suggestions")
        items = []
        for item in suggestions if isinstance(suggestions, list) else []:
            if not isinstance(item, dict):
                continue
            label, value = (
                " ".join(cell_text(item.get(key)).split()) for key in ("label", "value")
            )
            if label or value:
                items.append((label or value, cell_source(clean(self.app), value or label)))
        return items


_VIEWS: dict[str, type[_BlockView]] = {
    "image": _Image,
    "notification": _Transient,
    "session_event": _Transient,
    "session_title": _Transient,
    "suggestions": _Suggestions,
    "table_preview": _Table,
}


def _view(block: Block, app: str, remote_images: bool = False) -> _BlockView:
    kind = block.get("type")
    view = _VIEWS.get(kind, _BlockView) if isinstance(kind, str) else _BlockView
    return view(block, app, remote_images)
