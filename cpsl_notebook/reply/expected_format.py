"""Replies that must be JSON or a table (``--json``, ``--table``): checking and showing them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cpsl_notebook.errors import UserError
from cpsl_notebook.reply.blocks import table_html, table_text
from cpsl_notebook.reply.limits import MAX_FORMATTED
from cpsl_notebook.reply.markdown import has_table, table_cells, to_html
from cpsl_notebook.reply.tables import is_table_block, shown_cells

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["format_error", "formatted_html", "formatted_text", "has_expected_format"]


def format_error(reply: Reply) -> UserError | None:
    """Return an error if a complete reply does not have the required format."""
    if reply.form == "json":
        try:
            reply.json()
        except UserError as error:
            return error
    if reply.form == "table" and not _has_table(reply):
        return UserError("The reply contains no table. Ask for a table explicitly.")
    return None


def has_expected_format(reply: Reply) -> bool:
    """Return whether a reply has the required format, and is shown in that format.

    A reply of more than 100 kB is shown like any other, because formatting it takes long.
    """
    is_valid = bool(reply.form) and reply.status == "complete" and reply.error is None
    return is_valid and sum(len(p) for p in reply.pieces if isinstance(p, str)) <= MAX_FORMATTED


def formatted_html(reply: Reply) -> str:
    """Return the text of a reply in its format: indented JSON, or only its tables."""
    if reply.form == "json":
        value = formatted_text(reply)
        fence = "`" * 3
        while fence in value:
            fence += "`"
        return to_html(f"{fence}json\n{value}\n{fence}")
    return "".join(table_html(shown_cells(rows)) for rows in table_cells(reply.text))


def formatted_text(reply: Reply) -> str:
    """Return the same as `formatted_html`, as plain text."""
    if reply.form == "json":
        return json.dumps(reply.json(), indent=2, ensure_ascii=False)
    return "\n\n".join(table_text(shown_cells(rows)) for rows in table_cells(reply.text))


def _has_table(reply: Reply) -> bool:
    # Finding a table is cheaper than converting it, which `Reply.tables` does.
    return any(has_table(p) if isinstance(p, str) else is_table_block(p) for p in reply.parts)
