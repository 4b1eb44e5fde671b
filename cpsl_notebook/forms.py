"""Answers that are meant to be JSON or a table: whether they are, and how such a one is shown."""

from __future__ import annotations

import json

from cpsl_notebook.blocks import text_table
from cpsl_notebook.errors import UserError
from cpsl_notebook.markdown import tables, to_html
from cpsl_notebook.reply import Reply

__all__ = ["form_html", "misfit"]


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
        value = json.dumps(reply.json(), indent=2, ensure_ascii=False)
        fence = "`" * 3
        while fence in value:
            fence += "`"
        return to_html(f"{fence}json\n{value}\n{fence}")
    frames = [text_table(rows) for rows in tables(reply.text)]
    return "\n".join(
        frame.to_html(index=False, escape=True, border=0, na_rep="") for frame in frames
    )
