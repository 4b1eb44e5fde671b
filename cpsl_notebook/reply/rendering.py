"""A reply as safe HTML and as plain text.

An app's output is not trusted, but a front end trusts the output of a cell that has just run. So
Markdown is rendered here, every other value is escaped, and nothing is passed on unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpsl_notebook.reply.blocks import block_html, block_text
from cpsl_notebook.reply.expected_format import (
    formatted_html,
    formatted_text,
    has_expected_format,
)
from cpsl_notebook.reply.footer import footer
from cpsl_notebook.reply.markdown import to_html
from cpsl_notebook.reply.style import STYLE, framed, quiet_line
from cpsl_notebook.sanitize import clean

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["blocks_text", "bundle", "html", "plain"]


def bundle(reply: Reply) -> dict[str, str]:
    """Return a reply as a MIME bundle with ``text/html`` and ``text/plain``."""
    return {"text/html": html(reply), "text/plain": plain(reply)}


def html(reply: Reply) -> str:
    """Return a reply as HTML that runs no code and fetches nothing but allowed images."""
    if has_expected_format(reply):
        text = formatted_html(reply)
    else:
        text = to_html(reply.text, remote_images=reply.remote_images)
    blocks = _blocks_html(reply)
    needs_style = any(tag in text + blocks for tag in ("<pre>", "<table>"))
    parts = [STYLE if needs_style else "", text, blocks]
    if reply.status == "running":
        parts.append(quiet_line(reply.notification or "…", 'role="status"'))
    else:
        parts += [quiet_line(notice) for notice in reply.notices]
        parts.append(quiet_line(footer(reply), 'class="capsule-footer"'))
    return framed("\n".join(filter(None, parts)))


def plain(reply: Reply) -> str:
    """Return a reply as text: its own text, then its blocks."""
    text = formatted_text(reply) if has_expected_format(reply) else reply.text.strip()
    return "\n\n".join(filter(None, [clean(text), blocks_text(reply)]))


def blocks_text(reply: Reply) -> str:
    """Return the blocks of a reply as text."""
    return "\n\n".join(filter(None, (block_text(block, reply.app) for block in reply.blocks)))


def _blocks_html(reply: Reply) -> str:
    blocks = [
        block_html(block, reply.app, remote_images=reply.remote_images) for block in reply.blocks
    ]
    return "\n".join(filter(None, blocks))
