"""Replies for tests."""

from cpsl_notebook import Reply


def reply_with(text="", status="complete", **fields):
    """Return a reply of the app ``shop`` with a text."""
    return Reply(app="shop", prompt="x", pieces=[text], status=status, **fields)


def table_block(rows, columns=None, **payload):
    """Return a ``table_preview`` block."""
    return {
        "type": "table_preview",
        "payload": {"table": {"rows": rows, "columns": columns}, **payload},
    }
