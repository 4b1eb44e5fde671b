"""A reply as safe HTML and as plain text.

What an app sends is untrusted, and a cell that has just run is trusted by the front end, so nothing
of it is passed on as it is: Markdown is rendered here, and every other value is escaped.
"""

from __future__ import annotations

from cpsl_notebook.reply.blocks import block_html, block_text, quiet_line
from cpsl_notebook.reply.expected_format import form_html, form_text
from cpsl_notebook.reply.markdown import PART, STYLE, to_html
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.sanitize import clean

__all__ = ["blocks_html", "blocks_text", "footer", "framed", "html", "plain"]

_LONGEST_REASON = 200  # characters of an error that the footer repeats


def html(reply: Reply) -> str:
    """Return the reply as HTML that runs nothing and, but for remote images, fetches nothing."""
    text = _text_html(reply)
    blocks = blocks_html(reply)
    styled = any(tag in text + blocks for tag in ("<pre>", "<table>", f'class="{PART}"'))
    parts = [STYLE if styled else "", text, blocks]
    if reply.status == "running":
        parts.append(quiet_line(reply.notification or "…", 'role="status"'))
    else:
        parts += [quiet_line(notice) for notice in reply.notices]
        parts.append(quiet_line(footer(reply), 'class="capsule-footer"'))
    return framed("\n".join(filter(None, parts)))


def _text_html(reply: Reply) -> str:
    if _is_of_its_form(reply):
        return form_html(reply)
    return to_html(reply.text, remote_images=reply.remote_images, in_parts=True)


def _is_of_its_form(reply: Reply) -> bool:
    return bool(reply.form) and reply.status == "complete" and reply.error is None


def framed(inner: str, attributes: str = "") -> str:
    """Return HTML within the element that all that is shown of a reply stands in."""
    # Without the classes, MathJax turns "$5 and $10" into a formula.
    kinds = "capsule-reply mathjax_ignore tex2jax_ignore"
    return f'<div class="{kinds}" style="overflow-wrap:anywhere"{attributes}>{inner}</div>'


def blocks_html(reply: Reply) -> str:
    """Return the reply's blocks as HTML."""
    shown = [
        block_html(block, reply.app, remote_images=reply.remote_images) for block in reply.blocks
    ]
    return "\n".join(filter(None, shown))


def plain(reply: Reply) -> str:
    """Return the reply's own text, cleaned; tables and other blocks as lines below it."""
    text = form_text(reply) if _is_of_its_form(reply) else reply.text.strip()
    return "\n\n".join(filter(None, [clean(text), blocks_text(reply)]))


def blocks_text(reply: Reply) -> str:
    """Return the reply's blocks as text."""
    return "\n\n".join(filter(None, (block_text(block, reply.app) for block in reply.blocks)))


def footer(reply: Reply) -> str:
    """Return the line that says where a reply comes from, and how its ending went."""
    parts = [reply.app]
    if reply.conversation:
        parts.append(f"conversation {reply.conversation}")
    if reply.turn:
        before = f"; this cell was turn {reply.turn_before}" if reply.turn_before else ""
        parts.append(f"turn {reply.turn}{before}")
    if reply.first_chunk_s is not None:
        parts.append(f"first words {reply.first_chunk_s:.1f} s")
    if reply.total_s is not None:
        parts.append(f"{reply.total_s:.1f} s")
    if reply.status != "complete":
        parts.append(reply.status)
    if reply.status == "failed" and reply.error is not None:
        parts[-1] += f": {' '.join(str(reply.error).split())[:_LONGEST_REASON]}"
    return clean(" · ".join(parts))
