"""Answers that are meant to be JSON or a table: whether they are, and how such a one is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cpsl_notebook.errors import UserError
from cpsl_notebook.reply.blocks import table_html, text_table
from cpsl_notebook.reply.markdown import tables, to_html
from cpsl_notebook.reply.model import Reply

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["form_html", "form_text", "misfit"]


def misfit(reply: Reply) -> UserError | None:
    """Return what is wrong with an answer that is not what it was meant to be."""
    if reply.form == "json":
        try:
            reply.json()
        except UserError as error:
            return error
    elif reply.form == "table" and not reply.tables:
        return UserError("The reply holds no table: ask for one in so many words.")
    return None


def form_html(reply: Reply) -> str:
    """Return the text of an answer that is what it was meant to be: JSON in lines, or its tables."""
    if reply.form == "json":
        value = form_text(reply)
        fence = "`" * 3
        while fence in value:
            fence += "`"
        return to_html(f"{fence}json\n{value}\n{fence}")
    return "\n".join(map(table_html, _tables(reply)))


def form_text(reply: Reply) -> str:
    """Return the same as text for a terminal."""
    if reply.form == "json":
        return json.dumps(reply.json(), indent=2, ensure_ascii=False)
    return "\n\n".join(frame.to_string(index=False, na_rep="") for frame in _tables(reply))


def _tables(reply: Reply) -> list[pd.DataFrame]:
    return [text_table(rows) for rows in tables(reply.text)]
