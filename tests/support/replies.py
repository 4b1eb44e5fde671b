"""Replies for tests."""

from cpsl_notebook import Reply


def reply_with(text="", status="complete", blocks=(), **fields):
    """Return a reply of the app ``shop`` with a text and then blocks."""
    return Reply(app="shop", prompt="x", pieces=[text, *blocks], status=status, **fields)


def table_block(rows, columns=None, **payload):
    """Return a ``table_preview`` block."""
    return {
        "type": "table_preview",
        "payload": {"table": {"rows": rows, "columns": columns}, **payload},
    }
