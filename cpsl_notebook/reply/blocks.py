"""The blocks of a reply, such as tables and images, as HTML and as text.

To add a block type, write a subclass of `_BlockView` and enter it in ``_VIEWS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from textwrap import indent
from typing import Any, TypeVar

from cpsl_notebook.reply.block_types import TRANSIENT
from cpsl_notebook.reply.cell_source import cell_source
from cpsl_notebook.reply.images import image_html, image_text, link_html
from cpsl_notebook.reply.limits import MAX_BLOCK_LENGTH
from cpsl_notebook.reply.style import TABLE, cell_block, direction, quiet_line
from cpsl_notebook.reply.tables import ShownTable, cell_text, shown_table
from cpsl_notebook.sanitize import clean

__all__ = ["block_html", "block_text", "table_html", "table_text"]

Block = dict[str, Any]
Entry = TypeVar("Entry", bound=Sequence[str])

# What a block leaves out is counted in the output, and stays in `Reply.blocks`.
_MAX_FIELD = 2_000  # characters of a field
_MAX_PROMPT = 10_000  # characters of a suggested prompt that is shown as a cell
_MAX_ENTRIES = 50  # suggestions, links or fields
_PLACE = "see `blocks` of the reply (`%capsule last`)"


def block_html(
    block: Block, app: str, *, remote_images: bool = False, limit: int = MAX_BLOCK_LENGTH
) -> str:
    """Return a block as HTML.

    Parameters
    ----------
    block : dict
        The block as the app sent it, with ``type`` and ``payload``.
    app : str
        The app that sent it; a suggestion shows the cell that sends it there.
    remote_images : bool
        Whether images of other servers are shown.
    limit : int
        The approximate number of characters to show; the rest is counted.

    Returns
    -------
    str
        The HTML; empty for a block that is not part of the finished reply.
    """
    return _view(block, app, limit, remote_images).html()


def block_text(block: Block, app: str, *, limit: int = MAX_BLOCK_LENGTH) -> str:
    """Return a block as text; empty for a block that is not part of the finished reply.

    Examples
    --------
    >>> block_text({"type": "activity", "payload": {"label": "Searched the archive"}}, "shop")
    '[activity] Searched the archive'
    """
    return _view(block, app, limit).text()


def table_html(table: ShownTable) -> str:
    """Return a table as HTML, with columns of numbers aligned to the right."""
    alignments = [" align=right" if is_number else "" for is_number in table.numeric]

    def row(tag: str, texts: list[str]) -> str:
        cells = zip(alignments, texts, strict=True)
        return "<tr>" + "".join(
            f"<{tag}{direction(text)}{alignment}>{escape(text, quote=False)}"
            for alignment, text in cells
        )

    body = "".join(row("td", texts) for texts in table.rows)
    note = table.note(len(table.rows))
    return (
        f"<table style={TABLE}><thead>{row('th', table.names)}<tbody>{body}</table>"
        f"{quiet_line(note) if note else ''}"
    )


def table_text(table: ShownTable) -> str:
    """Return a table as text with aligned columns; missing values are empty.

    Examples
    --------
    >>> from cpsl_notebook.reply.tables import shown_cells
    >>> print(table_text(shown_cells([["queue", "open"], ["billing", "4"], ["mobile", "15"]])))
    queue    open
    billing     4
    mobile     15
    """
    lines = [[text.replace("\n", " ") for text in row] for row in (table.names, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = max(1, table.limit // (sum(widths) + 2 * len(widths) + 1))  # rows
    aligned = [
        "  ".join(
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(texts, widths, table.numeric, strict=True)
        ).rstrip()
        for texts in lines[: shown + 1]
    ]
    return "\n".join(filter(None, [*aligned, table.note(len(aligned) - 1)]))


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

    def __init__(self, block: Block, app: str, limit: int, remote_images: bool) -> None:
        payload = block.get("payload")
        self.block = block
        self.payload: dict[str, Any] = payload if isinstance(payload, dict) else {}
        self.app = app
        self.limit = limit
        self.remote_images = remote_images

    def shorten(self, value: Any) -> str:
        """Return a value as text of limited length."""
        return cell_text(value, min(_MAX_FIELD, self.limit // 4))

    def field(self, name: str) -> str:
        """Return a field of the payload as text of limited length."""
        return self.shorten(self.payload.get(name))

    def entries(self, name: str) -> list[Any]:
        """Return a list in the payload."""
        entries = self.payload.get(name)
        return entries if isinstance(entries, list) else []

    def fitting(
        self, name: str, entries: Iterable[Any], read: Callable[[Any], Entry], total: int
    ) -> tuple[list[Entry], str]:
        """Return the first entries that can be shown, and a note on the others."""
        shown: list[Entry] = []
        length = 0
        for entry in entries:
            shown.append(read(entry))
            length += len("".join(shown[-1]))
            if len(shown) == _MAX_ENTRIES or length > self.limit:
                break
        more = total - len(shown)
        return shown, f"{more:,} more {name}: {_PLACE}" if more else ""

    def html(self) -> str:
        text = self.text()
        return quiet_line(text) if text else ""

    def text(self) -> str:
        texts = filter(None, map(self.field, self._FIELDS))
        return f"[{self.shorten(self.block.get('type'))}] {' · '.join(texts)}".strip()


class _Prompt(_BlockView):
    """A block that asks the user for something that only Capsule's own pages offer."""

    def text(self) -> str:
        return f"{super().text()} (Answer it in the app on Capsule; a notebook cannot.)"


class _Activity(_BlockView):
    """What an app has done, with links and fields."""

    _FIELDS = ("label", "detail")

    def html(self) -> str:
        links, more_links = self._links()
        fields, more_fields = self._fields()
        linked = [link_html(url, label) for label, url in links]
        details = [*map(escape, map(": ".join, fields)), more_fields, *linked, more_links]
        line = quiet_line(super().text()).removesuffix("</div>")
        return " · ".join([line, *filter(None, details)]) + "</div>"

    def text(self) -> str:
        links, more_links = self._links()
        fields, more_fields = self._fields()
        linked = [" ".join(filter(None, link)) for link in links]
        details = [*map(": ".join, fields), more_fields, *linked, more_links]
        return " · ".join([super().text(), *filter(None, details)])

    def _links(self) -> tuple[list[tuple[str, str]], str]:
        """Return the label and the URL of each link, and a note on those that are left out."""

        def read(link: Any) -> tuple[str, str]:
            given = link if isinstance(link, dict) else {"url": link}
            url = self.shorten(given.get("url") or given.get("href"))
            label = self.shorten(given.get("label") or given.get("title"))
            return label or url, url if label else ""

        links = self.entries("links")
        return self.fitting("links", links, read, len(links))

    def _fields(self) -> tuple[list[list[str]], str]:
        """Return the name and the value of each field, and a note on those that are left out."""
        fields = self.payload.get("fields")
        pairs: Iterable[tuple[Any, Any]]
        if isinstance(fields, dict):
            pairs, total = fields.items(), len(fields)
        else:
            pairs = [
                (field.get("label") or field.get("name") or field.get("key"), field.get("value"))
                for field in self.entries("fields")
                if isinstance(field, dict)
            ]
            total = len(pairs)

        def read(pair: tuple[Any, Any]) -> list[str]:
            return [text for text in map(self.shorten, pair) if text]

        return self.fitting("fields", pairs, read, total)


class _Transient(_BlockView):
    """A block that is shown, if at all, only while the reply is running."""

    def text(self) -> str:
        return ""


class _Table(_BlockView):
    def html(self) -> str:
        table = shown_table(self.block, self.limit)
        if table is None:  # the block closes an earlier table, or contains no rows
            return ""
        title = self.field("title")
        heading = f"<p{direction(title)}><b>{escape(title)}</b></p>" if title else ""
        return heading + table_html(table)

    def text(self) -> str:
        table = shown_table(self.block, self.limit)
        if table is None:
            return ""
        return "\n".join(filter(None, [self.field("title"), table_text(table)]))


class _Image(_BlockView):
    def html(self) -> str:
        width, alt = self.payload.get("width"), self.shorten(self.payload.get("alt"))
        if len(self._url) > self.limit:
            return quiet_line(self.text())
        return f"<p>{image_html(self._url, alt, width, remote_images=self.remote_images)}</p>"

    def text(self) -> str:
        alt = self.shorten(self.payload.get("alt"))
        if len(self._url) > self.limit:
            return (
                f"[image: {alt or 'no description'}; not shown, because it is too large: {_PLACE}]"
            )
        return image_text(self._url, alt)

    @property
    def _url(self) -> str:
        url = self.payload.get("url")
        return url if isinstance(url, str) else ""

    def shorten(self, value: Any) -> str:
        return cell_text(value, _MAX_FIELD)


class _Suggestions(_BlockView):
    """Prompts that the app suggests: a line for each, and the cell that sends it.

    HTML shows the cell when the user opens the line. Text shows it only if the line is not the prompt.
    """

    def html(self) -> str:
        items, more = self._items()
        lines = [
            f"<details{direction(label)}><summary>{escape(label)}</summary>"
            f"{cell_block(self._cell(prompt))}</details>"
            if prompt
            else f"<div{direction(label)}>{escape(label)}</div>"
            for label, prompt in items
        ]
        note = quiet_line(more) if more else ""
        content = f"<p{direction(self._title)}>{escape(self._title)}:</p>{''.join(lines)}{note}"
        return f'<div style="margin:1em 0">{content}</div>' if items else ""

    def text(self) -> str:
        items, more = self._items()
        start = self._cell("").rstrip()
        lines = []
        for label, prompt in items:
            is_line = label == prompt and "{{" not in prompt
            cell = "" if is_line or not prompt else f":\n\n{indent(self._cell(prompt), '    ')}\n"
            lines.append(f"- {label}{cell}")
        title = f"{self._title}, in a cell that starts with `{start}`:"
        return "\n".join(filter(None, [title, *lines, more])) if items else ""

    @property
    def _title(self) -> str:
        return self.field("title") or "You could ask"

    def _cell(self, prompt: str) -> str:
        return cell_source(clean(self.app), prompt)

    def _items(self) -> tuple[list[tuple[str, str]], str]:
        """Return the label and the prompt of each suggestion, and a note on those left out.

        The prompt is empty if it is too long to show, because a part of it is a different prompt.
        """
        longest = min(_MAX_PROMPT, self.limit)

        def read(item: dict[str, Any]) -> tuple[str, str]:
            label, value = item.get("label"), item.get("value")
            prompt = cell_text(value or label, longest)
            if len(prompt) > longest:
                return f"{self.shorten(label or value)} (its prompt is too long: {_PLACE})", ""
            label, prompt = (" ".join(t.split()) for t in (cell_text(label, longest), prompt))
            return label or prompt, prompt

        given = (item for item in self.entries("suggestions") if isinstance(item, dict))
        items = [item for item in given if item.get("label") or item.get("value")]
        return self.fitting("suggestions", items, read, len(items))


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


def _view(block: Block, app: str, limit: int, remote_images: bool = False) -> _BlockView:
    kind = block.get("type")
    view = _VIEWS.get(kind, _BlockView) if isinstance(kind, str) else _BlockView
    return view(block, app, limit, remote_images)
