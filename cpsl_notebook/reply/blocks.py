"""The blocks of a reply, such as tables and images, as HTML and as text.

To add a block type, write a subclass of `_BlockView` and enter it in ``_VIEWS``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from html import escape
from textwrap import indent
from typing import TYPE_CHECKING, Any

from cpsl_notebook.reply.block_types import TRANSIENT
from cpsl_notebook.reply.cell_source import cell_source
from cpsl_notebook.reply.images import image_html, image_text, link_html
from cpsl_notebook.reply.style import CELL, TABLE, quiet_line
from cpsl_notebook.reply.tables import MAX_SHOWN_LENGTH, cell_text, shown_table, typed_column
from cpsl_notebook.sanitize import clean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["block_html", "block_text", "table_html", "table_text"]

Block = dict[str, Any]

# The rest of a block stays in `Reply.blocks`.
_MAX_FIELD = 2_000  # characters of a field
_MAX_PROMPT = 10_000  # characters of a suggested prompt
_MAX_ENTRIES = 50  # suggestions, links or fields


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
    from pandas.api.types import is_numeric_dtype

    styles = [
        "text-align:right" if is_numeric_dtype(typed_column(column)) else CELL
        for _, column in table.items()
    ]

    def row(tag: str, values: Iterable[Any]) -> str:
        cells = (
            f'<{tag} dir="auto" style="{style}">{escape(cell_text(value, MAX_SHOWN_LENGTH))}</{tag}>'
            for style, value in zip(styles, values, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(row("td", values) for values in table.itertuples(index=False, name=None))
    head = row("th", table.columns)
    return f'<table style="{TABLE}"><thead>{head}</thead>\n<tbody>{body}</tbody></table>'


def table_text(table: pd.DataFrame) -> str:
    """Return a table as text, with aligned columns and a missing value as nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> print(table_text(pd.DataFrame({"queue": ["billing"], "open": [4]})))
      queue  open
    billing     4
    """
    return table.map(lambda value: cell_text(value, MAX_SHOWN_LENGTH)).to_string(index=False)


class _BlockView:
    """A block of a type without a view of its own: one line with its texts."""

    _FIELDS: tuple[str, ...] = (
        "label",
        "title",
        "message",
        "text",
        "detail",
        "name",
        "url",
        "task_id",
    )

    def __init__(self, block: Block, app: str, remote_images: bool) -> None:
        payload = block.get("payload")
        self.block = block
        self.payload: dict[str, Any] = payload if isinstance(payload, dict) else {}
        self.app = app
        self.remote_images = remote_images

    def field(self, name: str) -> str:
        """Return a field of the payload as text of limited length."""
        return cell_text(self.payload.get(name), _MAX_FIELD)

    def entries(self, name: str) -> list[Any]:
        """Return the first entries of a list in the payload."""
        entries = self.payload.get(name)
        return entries[:_MAX_ENTRIES] if isinstance(entries, list) else []

    def html(self) -> str:
        text = self.text()
        return quiet_line(text) if text else ""

    def text(self) -> str:
        texts = filter(None, map(self.field, self._FIELDS))
        return f"[{cell_text(self.block.get('type'), _MAX_FIELD)}] {' · '.join(texts)}".strip()


class _Prompt(_BlockView):
    """A block that asks the user for something that only Capsule's own pages offer."""

    def text(self) -> str:
        return f"{super().text()} (Answer it in the app on Capsule; a notebook cannot.)"


class _Activity(_BlockView):
    """What an app has done, with links and fields."""

    _FIELDS = ("label", "detail")

    def html(self) -> str:
        links = [link_html(url, label) for label, url in self._links()]
        details = " · ".join([*map(escape, self._fields()), *links])
        line = quiet_line(super().text())
        return line.replace("</div>", f" · {details}</div>") if details else line

    def text(self) -> str:
        links = [f"{label} {url}".strip() for label, url in self._links()]
        return " · ".join([super().text(), *self._fields(), *links])

    def _links(self) -> list[tuple[str, str]]:
        """Return the label and the URL of each link."""
        links = []
        for link in self.entries("links"):
            given = link if isinstance(link, dict) else {"url": link}
            url = cell_text(given.get("url") or given.get("href"), _MAX_FIELD)
            label = cell_text(given.get("label") or given.get("title"), _MAX_FIELD)
            links.append((label or url, url if label else ""))
        return links

    def _fields(self) -> list[str]:
        """Return each field as its name and value."""
        fields = self.payload.get("fields")
        pairs: list[tuple[Any, Any]]
        if isinstance(fields, dict):
            pairs = list(itertools.islice(fields.items(), _MAX_ENTRIES))
        else:
            pairs = [
                (field.get("label") or field.get("name") or field.get("key"), field.get("value"))
                for field in self.entries("fields")
                if isinstance(field, dict)
            ]
        return [
            ": ".join(filter(None, (cell_text(part, _MAX_FIELD) for part in pair)))
            for pair in pairs
        ]


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
        heading = f'<p dir="auto"><strong>{escape(title)}</strong></p>' if title else ""
        return heading + table_html(table.frame) + (quiet_line(table.note) if table.note else "")

    def text(self) -> str:
        table = shown_table(self.block)
        if table is None:
            return ""
        return "\n".join(filter(None, [self.field("title"), table_text(table.frame), table.note]))


class _Image(_BlockView):
    def html(self) -> str:
        url, width = cell_text(self.payload.get("url")), self.payload.get("width")
        alt = self.field("alt")
        return f"<p>{image_html(url, alt, width, remote_images=self.remote_images)}</p>"

    def text(self) -> str:
        return image_text(cell_text(self.payload.get("url")), self.field("alt"))


class _Suggestions(_BlockView):
    """Prompts that the app suggests, each as the cell that sends it."""

    def html(self) -> str:
        items = [
            "<li>"
            + (f"{escape(label)}<br>" if label else "")
            + f'<code style="white-space:pre-wrap">{escape(source)}</code></li>'
            for label, source in self._items()
        ]
        return f"<p>{escape(self._title)}:</p><ul>{''.join(items)}</ul>" if items else ""

    def text(self) -> str:
        items = [
            f"- {label}:\n\n{indent(source, '    ')}\n" if label else f"{indent(source, '    ')}\n"
            for label, source in self._items()
        ]
        return "\n".join([f"{self._title}:", *items]) if items else ""

    @property
    def _title(self) -> str:
        return self.field("title") or "You could ask"

    def _items(self) -> list[tuple[str, str]]:
        """Return the label of each suggestion if it is not the prompt, and the cell that sends it."""
        items = []
        for item in self.entries("suggestions"):
            if not isinstance(item, dict):
                continue
            label, value = (
                " ".join(cell_text(item.get(key), _MAX_PROMPT).split())
                for key in ("label", "value")
            )
            prompt = value or label
            if prompt:
                shown = "" if label == prompt else label
                items.append((shown, cell_source(clean(self.app), prompt)))
        return items


_VIEWS: dict[str, type[_BlockView]] = {
    **dict.fromkeys(TRANSIENT, _Transient),
    "activity": _Activity,
    "approval_prompt": _Prompt,
    "file_upload": _Prompt,
    "image": _Image,
    "integration_prompt": _Prompt,
    "suggestions": _Suggestions,
    "table_preview": _Table,
}


def _view(block: Block, app: str, remote_images: bool = False) -> _BlockView:
    kind = block.get("type")
    view = _VIEWS.get(kind, _BlockView) if isinstance(kind, str) else _BlockView
    return view(block, app, remote_images)
