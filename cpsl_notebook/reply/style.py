"""The styles of a reply, and the elements that every reply is built from.

Styles are attributes of the elements: a style sheet would stand before every reply of an export.
"""

from __future__ import annotations

import re
from html import escape

from cpsl_notebook.sanitize import clean

__all__ = ["CELL", "COLOURS", "TABLE", "code_block", "framed", "plain_block", "quiet_line"]

# The colours of code, each mixed with the colour of the text, so that they suit light and dark pages.
# Each has a contrast of at least 4.5 to its background (WCAG 2.2, 1.4.3).
COLOURS = {
    "k": ("#e5534b", 40),
    "s": ("#4493f8", 45),
    "c": ("#808080", 45),
    "m": ("#0b8a9e", 40),
    "n": ("#986ee2", 40),
}  # of keyword, string, comment, number, name; and the text's share in percent
_PRE = (
    "margin:0 0 1em;padding:.4em .7em;border-radius:3px;background:rgba(128,128,128,.1);"
    "overflow-x:auto"
)
_CODE = "padding:0;background:none;white-space:inherit"
TABLE = "margin-left:0;overflow-wrap:normal"
CELL = "text-align:start"  # JupyterLab aligns cells to the right
_QUIET = "opacity:.75;font-size:.85em"
_VARIABLES = "".join(
    f"--{kind}:color-mix(in srgb,currentColor {share}%,{colour});"
    for kind, (colour, share) in COLOURS.items()
)
_BLANK_LINE = re.compile(r"\n(?=[ \t]*\n)")


def framed(content: str, attributes: str = "") -> str:
    """Return HTML inside the element of every reply; it contains no blank line.

    A blank line would end the HTML in an export to Markdown, and what follows would be Markdown.
    """
    # Without these classes, MathJax turns "$5 and $10" into a formula.
    classes = "capsule-reply mathjax_ignore tex2jax_ignore"
    variables = _VARIABLES if "var(--" in content else ""
    content = _BLANK_LINE.sub("&#10;", content)
    style = f"{variables}overflow-wrap:anywhere"
    return f'<div class="{classes}" style="{style}"{attributes}>{content}</div>'


def code_block(code: str) -> str:
    """Return code, which must be HTML already, in an element that scrolls sideways."""
    style = f"{_PRE};white-space:pre;overflow-wrap:normal"
    return f'<pre style="{style}"><code style="{_CODE}">{code}</code></pre>\n'


def plain_block(text: str) -> str:
    """Return text as HTML without any formatting; long lines are wrapped."""
    return f'<pre style="{_PRE};white-space:pre-wrap">{escape(text, quote=False)}</pre>\n'


def quiet_line(text: str, attributes: str = "") -> str:
    """Return an unobtrusive line of text as HTML."""
    space = " " if attributes else ""
    return f'<div {attributes}{space}style="{_QUIET}">{escape(clean(text))}</div>'
