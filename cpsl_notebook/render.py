"""A reply as safe HTML and as plain text.

What an app sends is untrusted, and a cell that has just run is trusted by the front end, so nothing
of it is passed on as it is: Markdown is rendered here with HTML and images off, links are limited
to the web and mail, and every other value is escaped.
"""

from __future__ import annotations

import functools
import re
from html import escape
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from markdown_it import MarkdownIt

from cpsl_notebook.reply import Reply

__all__ = ["clean", "footer", "html", "plain"]

# C0 and C1 controls but tab and line feed, and what reorders or hides text (Unicode TR 36).
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_LINK_SCHEMES = {"http", "https", "mailto"}
_QUIET = "opacity:.75;font-size:.85em"
# Without the class, MathJax turns "$5 and $10" into a formula.
_OPEN = '<div class="capsule-reply mathjax_ignore tex2jax_ignore">'


def clean(text: str) -> str:
    """Remove control characters and bidirectional overrides; lines and tabs stay."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def html(reply: Reply) -> str:
    """Return the reply as HTML that runs nothing and fetches nothing."""
    parts = [_markdown(reply.text), *(_block(block) for block in reply.blocks)]
    if reply.status == "running":
        parts.append(_line(reply.notification or "…", 'role="status"'))
    else:
        parts += [_line(notice) for notice in reply.notices]
        parts.append(_line(footer(reply), 'class="capsule-footer"'))
    return _OPEN + "\n".join(filter(None, parts)) + "</div>"


def plain(reply: Reply) -> str:
    """Return the reply's own text, cleaned; tables and other blocks as lines below it."""
    parts = [clean(reply.text).strip(), *(_plain_block(block) for block in reply.blocks)]
    return "\n\n".join(filter(None, parts))


def footer(reply: Reply) -> str:
    """Return the line that says where a reply comes from, and how its ending went."""
    parts = [reply.app]
    if reply.conversation:
        parts.append(f"conversation {reply.conversation}")
    if reply.turn:
        parts.append(f"turn {reply.turn}")
    if reply.first_chunk_s is not None:
        parts.append(f"first words {reply.first_chunk_s:.1f} s")
    if reply.total_s is not None:
        parts.append(f"{reply.total_s:.1f} s")
    if reply.status != "complete":
        parts.append(reply.status)
    return clean(" · ".join(parts))


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.disable("image")
    parser.validateLink = _is_harmless  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _open_link)
    return parser


def _is_harmless(url: str) -> bool:
    return urlsplit(url.strip()).scheme.lower() in _LINK_SCHEMES


def _open_link(renderer: Any, tokens: Any, position: int, options: Any, env: Any) -> str:
    tokens[position].attrSet("target", "_blank")
    tokens[position].attrSet("rel", "noopener noreferrer")
    rendered: str = renderer.renderToken(tokens, position, options, env)
    return rendered


def _markdown(text: str) -> str:
    return clean(_parser().render(clean(text)))  # twice: an entity may stand for a character


def _line(text: str, attributes: str = "") -> str:
    return f'<div {attributes} style="{_QUIET}">{escape(clean(text))}</div>'


def _block(block: dict[str, Any]) -> str:
    table = _table(block)
    if table is not None:
        title = _string(block["payload"].get("title"))
        shown = table.map(_string).to_html(index=False, escape=True, border=0)
        return (f"<p><strong>{escape(title)}</strong></p>" if title else "") + shown
    line = _plain_block(block)
    return _line(line) if line else ""


def _plain_block(block: dict[str, Any]) -> str:
    """Return a block as text; an empty string for what was only for the moment."""
    payload = block.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    table = _table(block)
    if table is not None:
        title = _string(payload.get("title"))
        return f"{title}\n{table.map(_string).to_string(index=False)}".strip()
    match block.get("type"):
        case "notification" | "session_title" | "session_event":
            return ""
        case "table_preview":  # it closes one, or holds no rows
            return ""
        case "suggestions":
            items = payload.get("suggestions")
            items = items if isinstance(items, list) else []
            labels = [_string(item.get("label")) for item in items if isinstance(item, dict)]
            title = _string(payload.get("title")) or "You could ask"
            return f"{title}: {' · '.join(filter(None, labels))}" if labels else ""
        case "image":
            return f"[image: {_string(payload.get('alt')) or 'without a description'}]"
        case kind:
            said = [_string(payload.get(key)) for key in ("label", "message", "text", "detail")]
            return f"[{_string(kind)}] {' · '.join(filter(None, said))}".strip()


def _table(block: dict[str, Any]) -> pd.DataFrame | None:
    """Return the table of a `table_preview` block."""
    payload = block.get("payload")
    table = payload.get("table") if isinstance(payload, dict) else None
    if block.get("type") != "table_preview" or not isinstance(table, dict):
        return None
    rows, columns = table.get("rows"), table.get("columns")
    if not isinstance(rows, list):
        return None
    columns = columns if isinstance(columns, list) else []
    if rows and all(isinstance(row, dict) for row in rows):
        frame = _from_objects(rows, columns)
    else:
        frame = _from_lists([row if isinstance(row, list) else [row] for row in rows], columns)
    return frame if len(frame.columns) else None


def _from_objects(rows: list[dict[str, Any]], columns: list[Any]) -> pd.DataFrame:
    """Make a table of objects: the columns named, or all there are."""
    keys = [_column_key(column) for column in columns] or list(
        dict.fromkeys(key for row in rows for key in row)
    )
    names = [_column_name(column) for column in columns] or keys
    values = [[row.get(key) for key in keys] for row in rows]
    return pd.DataFrame(values, columns=[_string(name) for name in names], dtype=object)


def _from_lists(rows: list[list[Any]], columns: list[Any]) -> pd.DataFrame:
    """Make a table of rows of any length; columns without a name have a number."""
    width = max([len(columns), *map(len, rows)])
    names = [_column_name(column) for column in columns]
    names += [str(number) for number in range(len(columns), width)]
    values = [row + [None] * (width - len(row)) for row in rows]
    return pd.DataFrame(values, columns=names, dtype=object)


def _column_key(column: Any) -> Any:
    """Read which field of a row a column shows."""
    if isinstance(column, dict):
        keys = ("key", "id", "name", "label", "title")
        return next((str(column[key]) for key in keys if column.get(key)), "")
    return str(column)


def _column_name(column: Any) -> str:
    """Read a column's title, given as a string or as an object with a label or name."""
    if isinstance(column, dict):
        keys = ("label", "title", "name", "key", "id")
        return next((_string(column[key]) for key in keys if column.get(key)), "")
    return _string(column)


def _string(value: Any) -> str:
    return "" if value is None else clean(str(value))
