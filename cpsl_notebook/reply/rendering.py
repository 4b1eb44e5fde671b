"""A reply as safe HTML and as plain text.

An app's output is not trusted, but a front end trusts the output of a cell that has just run. So
Markdown is rendered here, every other value is escaped, and nothing is passed on unchanged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cpsl_notebook.reply.blocks import block_html, block_text
from cpsl_notebook.reply.expected_format import (
    formatted_html,
    formatted_text,
    has_expected_format,
)
from cpsl_notebook.reply.footer import footer
from cpsl_notebook.reply.limits import Budget
from cpsl_notebook.reply.markdown import to_html
from cpsl_notebook.reply.style import framed, quiet_line
from cpsl_notebook.sanitize import clean

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["PartRenderer", "bundle", "html", "plain", "unformatted"]


class PartRenderer:
    """Renders the parts of one reply in order, within its limits.

    Parameters
    ----------
    reply : Reply
        The reply.

    Attributes
    ----------
    budget : Budget
        What may still be shown.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.budget = Budget()

    def html(self, part: str | dict[str, Any], *, is_part: bool = False) -> str:
        """Return the next part as HTML; empty if it is not shown."""
        if isinstance(part, str):
            return self._text_html(part, self.budget, is_part)
        if not self.budget.take_block():
            return ""
        return self.replaced_html(part, "")

    def replaced_html(self, block: dict[str, Any], shown: str) -> str:
        """Return a block as HTML; it replaces one that is shown as *shown*."""
        limit, remote_images = self.budget.limit(block), self._reply.remote_images
        html = block_html(block, self._reply.app, remote_images=remote_images, limit=limit)
        self.budget.charge(block, len(html) - len(shown))
        return html

    def preview(self, text: str, *, is_part: bool = False) -> str:
        """Return a text that still grows as HTML; the limits do not change."""
        return self._text_html(text, replace(self.budget), is_part)

    def text(self, part: str | dict[str, Any]) -> str:
        """Return the next part as text; empty if it is not shown."""
        if isinstance(part, str):
            return clean("".join(self.budget.split(part))).strip("\n")
        if not self.budget.take_block():
            return ""
        return self.replaced_text(part)

    def replaced_text(self, block: dict[str, Any]) -> str:
        """Return a block as text; it follows one that is shown and that it replaces."""
        text = block_text(block, self._reply.app, limit=self.budget.limit(block))
        self.budget.charge(block, len(text))
        return text

    def notes(self) -> list[str]:
        """Return the lines below a finished reply: that it is empty, what is not shown, notices."""
        reply = self._reply
        empty = "The reply is empty." if reply.status == "complete" and reply.is_empty else ""
        return list(filter(None, [empty, self.budget.note, *reply.notices]))

    def _text_html(self, text: str, budget: Budget, is_part: bool) -> str:
        return to_html(
            text,
            remote_images=self._reply.remote_images,
            math=self._reply.math,
            is_part=is_part,
            budget=budget,
        )


def bundle(reply: Reply) -> dict[str, str]:
    """Return a reply as a MIME bundle with ``text/html`` and ``text/plain``."""
    return {"text/html": html(reply), "text/plain": plain(reply)}


def html(reply: Reply) -> str:
    """Return a reply as HTML that runs no code and fetches only allowed images."""
    renderer = PartRenderer(reply)
    if has_expected_format(reply):
        rendered = [formatted_html(reply), *map(renderer.html, reply.blocks)]
    else:
        rendered = [renderer.html(part) for part in reply.unconverted_parts()]
    if reply.status == "running":
        lines = [quiet_line(reply.notification or "…", "role=status")]
    else:
        lines = [
            *map(quiet_line, renderer.notes()),
            quiet_line(footer(reply), "class=capsule-footer"),
        ]
    return framed("".join([*rendered, *lines]))


def plain(reply: Reply) -> str:
    """Return a reply as text."""
    renderer = PartRenderer(reply)
    if has_expected_format(reply):
        parts = [clean(formatted_text(reply)), *map(renderer.text, reply.blocks)]
    else:
        parts = [renderer.text(part) for part in reply.unconverted_parts()]
    return "\n\n".join(filter(None, [*parts, renderer.budget.note])).strip()


def unformatted(reply: Reply) -> str:
    """Return the texts of a reply, without its blocks, and its notices."""
    renderer = PartRenderer(reply)
    texts = [renderer.text(part) for part in reply.unconverted_parts() if isinstance(part, str)]
    return "\n\n".join(filter(None, [*texts, renderer.budget.note, *map(clean, reply.notices)]))
