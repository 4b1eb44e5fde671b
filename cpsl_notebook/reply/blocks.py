"""The structured messages among a reply: as safe HTML, as text; tables as DataFrames."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from textwrap import indent
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from cpsl_notebook.reply.cell_source import cell_source
from cpsl_notebook.reply.markdown import image
from cpsl_notebook.sanitize import clean

__all__ = [
    "block_html",
    "block_table",
    "block_text",
    "quiet_line",
    "table_html",
    "text_table",
    "typed_column",
]

Block = dict[str, Any]

_QUIET = "opacity:.75;font-size:.85em"
_SAID = ("label", "title", "message", "text", "detail", "name", "url", "task_id")
_MOST_ROWS, _MOST_COLUMNS = 100, 50  # of a table that are shown
# No leading zero: 007 is a name, not a number.
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


def quiet_line(text: str, attributes: str = "") -> str:
    """Return a line that does not stand out, as HTML."""
    space = " " if attributes else ""
    return f'<div {attributes}{space}style="{_QUIET}">{escape(clean(text))}</div>'


def block_html(block: Block, app: str, *, remote_images: bool = False) -> str:
    """Return a block as HTML; an empty string for what was only for the moment.

    Parameters
    ----------
    block
        What the app sent.
    app
        Who sent it: a suggestion says how to ask it.
    remote_images
        Whether to show pictures that must be fetched.
    """
    table = block_table(block)
    if table is not None:
        title = _string(_payload(block).get("title"))
        part, left = _bounded(table)
        head = f"<p><strong>{escape(title)}</strong></p>" if title else ""
        return head + table_html(part) + (quiet_line(left) if left else "")
    payload = _payload(block)
    match block.get("type"):
        case "image":
            url, alt = _string(payload.get("url")), _string(payload.get("alt"))
            shown = image(url, alt, payload.get("width"), remote_images=remote_images)
            return f"<p>{shown}</p>"
        case "suggestions":
            return _suggestions_html(block, app)
        case _:
            line = block_text(block, app)
            return quiet_line(line) if line else ""


def block_text(block: Block, app: str) -> str:
    """Return a block as text; an empty string for what was only for the moment."""
    payload = _payload(block)
    table = block_table(block)
    if table is not None:
        part, left = _bounded(table)
        title, rows = _string(payload.get("title")), part.map(_string).to_string(index=False)
        return "\n".join(filter(None, [title, rows, left]))
    match block.get("type"):
        case "notification" | "session_title" | "session_event":
            return ""
        case "table_preview":  # it closes one, or holds no rows
            return ""
        case "suggestions":
            items = [_suggestion_text(*item) for item in _suggestions(block, app)]
            return "\n".join([f"{_title(block)}:", *items]) if items else ""
        case "image":
            return f"[image: {_string(payload.get('alt')) or 'without a description'}]"
        case kind:
            said = [_string(payload.get(key)) for key in _SAID]
            return f"[{_string(kind)}] {' · '.join(filter(None, said))}".strip()


def block_table(block: Block) -> pd.DataFrame | None:
    """Return the table of a ``table_preview`` block, its values as they came, its texts clean."""
    table = _payload(block).get("table")
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


def table_html(table: pd.DataFrame) -> str:
    """Return a table as HTML: columns of numbers to the right, as one reads them, the rest not."""
    sides = [
        ' style="text-align:right"' if is_numeric_dtype(typed_column(column)) else ""
        for _, column in table.items()
    ]

    def row(tag: str, values: Iterable[Any]) -> str:
        cells = (
            f"<{tag}{side}>{escape(_string(value))}</{tag}>"
            for side, value in zip(sides, values, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(row("td", values) for values in table.itertuples(index=False, name=None))
    head = row("th", table.columns)
    return f"<table><thead>{head}</thead>\n<tbody>{body}</tbody></table>"


def typed_column(column: pd.Series[Any]) -> pd.Series[Any]:
    """Give a column of values as they came the type that all of them have."""
    whole = all(type(value) is int and abs(value) < 1 << 63 for value in column.dropna())
    return column.astype("Int64") if whole and column.count() else column.infer_objects()


def _bounded(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return as much of a table as a page can bear, and what to say of the rest."""
    shown = table.iloc[:_MOST_ROWS, :_MOST_COLUMNS]
    rows, columns = (whole - part for whole, part in zip(table.shape, shown.shape, strict=True))
    left = [f"{rows:,} more rows"] * bool(rows) + [f"{columns:,} more columns"] * bool(columns)
    return shown, f"{' and '.join(left)}: `%capsule last` has them in `tables`." if left else ""


def text_table(rows: list[list[str]]) -> pd.DataFrame:
    """Make a table of cells' texts, the header first; columns of numbers become numbers."""
    header, *body = rows
    columns = [_column([row[position] for row in body]) for position in range(len(header))]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    return frame.set_axis(header, axis=1)


def _column(cells: list[str]) -> pd.Series[Any]:
    filled = [cell for cell in cells if cell]
    for pattern, number, dtype in ((_INTEGER, int, "Int64"), (_NUMBER, float, "Float64")):
        if filled and all(map(pattern.fullmatch, filled)):
            return pd.Series([number(cell) if cell else None for cell in cells], dtype=dtype)
    return pd.Series(cells, dtype="string")


def _payload(block: Block) -> dict[str, Any]:
    payload = block.get("payload")
    return payload if isinstance(payload, dict) else {}


def _title(block: Block) -> str:
    return _string(_payload(block).get("title")) or "You could ask"


def _suggestions(block: Block, app: str) -> list[tuple[str, str]]:
    """Return the label of each suggestion, and what sends it: one line, whoever wrote it."""
    items = _payload(block).get("suggestions")
    found = []
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, dict):
            continue
        label, value = (" ".join(_string(item.get(key)).split()) for key in ("label", "value"))
        if label or value:
            found.append((label or value, cell_source(clean(app), value or label)))
    return found


def _suggestion_text(label: str, how: str) -> str:
    return f"- {label}:\n\n{indent(how, '    ')}\n" if "\n" in how else f"- {label}: {how}"


def _suggestions_html(block: Block, app: str) -> str:
    items = [
        f'<li>{escape(label)}<br><code style="white-space:pre-wrap">{escape(how)}</code></li>'
        for label, how in _suggestions(block, app)
    ]
    return f"<p>{escape(_title(block))}:</p><ul>{''.join(items)}</ul>" if items else ""


def _from_objects(rows: list[dict[str, Any]], columns: list[Any]) -> pd.DataFrame:
    """Make a table of objects: the columns named, or all there are."""
    keys = [_column_key(column) for column in columns] or list(
        dict.fromkeys(key for row in rows for key in row)
    )
    names = [_column_name(column) for column in columns] or keys
    values = [[_value(row.get(key)) for key in keys] for row in rows]
    return pd.DataFrame(values, columns=[_string(name) for name in names], dtype=object)


def _from_lists(rows: list[list[Any]], columns: list[Any]) -> pd.DataFrame:
    """Make a table of rows of any length; columns without a name have a number."""
    width = max([len(columns), *map(len, rows)])
    names = [_column_name(column) for column in columns]
    names += [str(number) for number in range(len(columns), width)]
    values = [[*map(_value, row), *[None] * (width - len(row))] for row in rows]
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


def _value(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


def _string(value: Any) -> str:
    return "" if value is None or value is pd.NA else clean(str(value))
