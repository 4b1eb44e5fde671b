"""The styles of a reply, and the elements that every reply is built from.

Cells and coloured code have a short form while a reply is rendered (``<td>``, ``<span class=k>``).
`framed` writes their styles out as attributes, because a style sheet would be repeated for every
reply of an export. Only if there are more than `MAX_STYLED` of them does it add a style sheet of one
line instead. Text contains no such elements, because its ``<`` is escaped.
"""

from __future__ import annotations

import re
from html import escape

from cpsl_notebook.sanitize import clean

__all__ = [
    "COLOURS",
    "SHEET",
    "TABLE",
    "cell_block",
    "code_block",
    "direction",
    "framed",
    "plain_block",
    "quiet_line",
    "sheet",
]

# The colours of code, each mixed with the colour of the text, so that they suit light and dark pages.
# Each has a contrast of at least 4.5 to its background (WCAG 2.2, 1.4.3).
COLOURS = {"k": "#e54", "s": "#49f", "c": "#888", "n": "#96e"}  # keyword, string, comment, name
TEXT_SHARE = 40  # percent
MAX_STYLED = 150  # cells and coloured tokens with their own styles; more of them get a style sheet
_PRE = "margin:1em;overflow:auto"
TABLE = "overflow-wrap:normal"
_QUIET = "opacity:.75;font-size:.85em"
_MIXED = {
    kind: f"color-mix(in srgb,currentColor {TEXT_SHARE}%,{colour})"
    for kind, colour in COLOURS.items()
}
# JupyterLab aligns cells to the right.
_STYLED = {
    "<td>": "<td style=text-align:start>",
    "<th>": "<th style=text-align:start>",
    "<td dir=auto>": "<td dir=auto style=text-align:start>",
    "<th dir=auto>": "<th dir=auto style=text-align:start>",
    **{f"<span class={kind}>": f"<span style=color:var(--{kind})>" for kind in COLOURS},
}
# Hebrew to Arabic Extended-A, their presentation forms, and the scripts like them above U+FFFF.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_SHORT = re.compile("|".join(_STYLED))


def sheet(coloured: str) -> str:
    """Return the style sheet of cells and coloured code.

    Parameters
    ----------
    coloured : str
        The selector of a coloured token, with ``{}`` for its kind.
    """
    cells = ".capsule-reply :is(td,th):not([align],[style]){text-align:start!important}"
    colours = (
        f".capsule-reply {coloured.format(k)}{{color:{mixed}}}" for k, mixed in _MIXED.items()
    )
    return cells + "".join(colours)


SHEET = sheet(".{}")  # of a long reply


def framed(content: str) -> str:
    """Return HTML in the element that encloses every reply; the result contains no line break.

    A blank line would end the HTML in an export to Markdown, and what follows would be Markdown.
    """
    variables = ""
    if len(_SHORT.findall(content)) > MAX_STYLED:
        content = f"<style>{SHEET}</style>{content}"
    else:
        content = _SHORT.sub(lambda found: _STYLED[found[0]], content)
        used = [kind for kind in COLOURS if f"var(--{kind})>" in content]
        variables = "".join(f"--{kind}:{_MIXED[kind]};" for kind in used)
    # Without these classes, MathJax turns "$5 and $10" into a formula.
    opening = '<div dir=ltr class="capsule-reply mathjax_ignore tex2jax_ignore"'
    style = f'"{variables}overflow-wrap:anywhere"' if variables else "overflow-wrap:anywhere"
    content = content.replace("\n", "&#10;")
    return f"{opening} style={style}>{content}</div>"


def direction(text: str) -> str:
    """Return the attribute that makes an element's text decide its direction; often empty.

    Every reply runs from left to right, so only text that contains Hebrew, Arabic or a similar script
    needs it.
    """
    is_left_to_right = text.isascii() or _RIGHT_TO_LEFT.search(text) is None
    return "" if is_left_to_right else " dir=auto"


def code_block(code: str) -> str:
    """Return code, which must be HTML already, in an element that scrolls sideways."""
    return _preformatted(code, "white-space:pre")


def plain_block(text: str) -> str:
    """Return text as HTML without any formatting; long lines are wrapped."""
    return _preformatted(escape(text, quote=False), "white-space:pre-wrap")


def cell_block(source: str) -> str:
    """Return the source of a cell as HTML that a click selects as a whole."""
    style = "padding:.5em;background:#8882;white-space:pre-wrap;user-select:all"
    return _preformatted(escape(source, quote=False), style)


def quiet_line(text: str, attributes: str = "") -> str:
    """Return an unobtrusive line of text as HTML."""
    space = " " if attributes else ""
    return f"<div {attributes}{space}style={_QUIET}>{escape(clean(text))}</div>"


def _preformatted(html: str, style: str) -> str:
    first = "\n" if html.startswith("\n") else ""  # browsers drop a line end after <pre>
    return f"<pre style={_PRE};{style}>{first}{html}</pre>"
